#!/usr/bin/env python3
"""Writes the image's bill of materials (SPDX 2.3, JSON) to standard output.

It names our programs with their checksums, every Debian package of the image as dpkg recorded it, and the Debian packages
whose headers or static libraries were compiled into the programs. Licences are in the image, in /usr/share/doc/PACKAGE/copyright;
the bill does not judge them. SOURCE_DATE_EPOCH dates it (default now); with that, equal input gives equal output.
"""
import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import urllib.parse

NAMESPACE = "https://vector.omics-os.com/spdx"
US = "SPDXRef-omics-vector"
NONE = "NOASSERTION"


def paragraphs(path):
    """dpkg's entries: field -> the first line of its value."""
    for text in re.split(r"\n\n+", path.read_text().strip()):
        yield dict(line.split(": ", 1) for line in text.split("\n") if ": " in line and not line.startswith(" "))


def installed(path):
    """The entries of packages whose files are there, by (name, architecture)."""
    entries = [entry for entry in paragraphs(path) if entry["Status"].endswith(" ok installed")]
    return sorted(entries, key=lambda entry: (entry["Package"], entry["Architecture"]))


def spdx_id(kind, *words):
    return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", lambda odd: f"-{ord(odd[0]):x}-", "-".join(words))


def package_url(entry, release):
    name, version = (urllib.parse.quote(entry[field], safe="") for field in ("Package", "Version"))
    return f"pkg:deb/debian/{name}@{version}?arch={entry['Architecture']}&distro=debian-{release}"


def debian_package(kind, entry, release):
    # `Source: NAME (VERSION)` where these differ from the binary package's.
    source, _, version = entry.get("Source", entry["Package"]).partition(" ")
    package = {
        "SPDXID": spdx_id(kind, entry["Package"], entry["Architecture"]),
        "name": entry["Package"],
        "versionInfo": entry["Version"],
        "supplier": "Organization: Debian",
        "originator": f"Person: {entry['Maintainer']}",
        "sourceInfo": f"built from Debian source package {source} {version.strip('()') or entry['Version']}",
        "downloadLocation": NONE,
        "filesAnalyzed": False,
        "licenseConcluded": NONE,
        "licenseDeclared": NONE,
        "copyrightText": NONE,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": package_url(entry, release)}],
    }
    if entry.get("Homepage", "").startswith("http"):
        package["homepage"] = entry["Homepage"]
    return package


def program_file(path, root):
    content = path.read_bytes()
    return {
        "SPDXID": spdx_id("File", path.name),
        "fileName": f"./{path.relative_to(root)}",
        "fileTypes": ["BINARY"],
        "checksums": [{"algorithm": name.upper(), "checksumValue": hashlib.new(name, content).hexdigest()} for name in ("sha1", "sha256")],
        "licenseConcluded": NONE,
        "licenseInfoInFiles": [NONE],
        "copyrightText": NONE,
    }


def our_package(version, files):
    sums = sorted(file["checksums"][0]["checksumValue"] for file in files)
    return {
        "SPDXID": US,
        "name": "omics-vector",
        "versionInfo": version,
        "supplier": "Organization: omics-os.com",
        "downloadLocation": NONE,
        "filesAnalyzed": True,
        "packageVerificationCode": {"packageVerificationCodeValue": hashlib.sha1("".join(sums).encode()).hexdigest()},
        "primaryPackagePurpose": "APPLICATION",
        "licenseConcluded": NONE,
        "licenseDeclared": NONE,
        "licenseInfoFromFiles": [NONE],
        "copyrightText": NONE,
    }


def relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def bill(version, release, image, compiled_in, files, created):
    in_image = [debian_package("Image", entry, release) for entry in image]
    in_programs = [debian_package("CompiledIn", entry, release) for entry in compiled_in]
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"omics-vector-{version}",
        "creationInfo": {"created": created, "creators": ["Organization: omics-os.com", "Tool: deploy/container/sbom.py"]},
        "packages": [our_package(version, files), *in_image, *in_programs],
        "files": files,
        "relationships": [
            relation("SPDXRef-DOCUMENT", "DESCRIBES", US),
            *(relation(US, "CONTAINS", file["SPDXID"]) for file in files),
            *(relation(US, "DEPENDS_ON", package["SPDXID"]) for package in in_image),
            *(relation(package["SPDXID"], "BUILD_DEPENDENCY_OF", US) for package in in_programs),
        ],
    }
    content = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return {**document, "documentNamespace": f"{NAMESPACE}/omics-vector-{version}-{content[:32]}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--version", required=True, help="omics-vector's")
    parser.add_argument("--status", required=True, type=pathlib.Path, help="the image's /var/lib/dpkg/status")
    parser.add_argument("--os-release", required=True, type=pathlib.Path, help="the image's /etc/os-release")
    parser.add_argument("--compiled-in", required=True, type=pathlib.Path, help="dpkg's entries of what was compiled in")
    parser.add_argument("--root", required=True, type=pathlib.Path, help="folder that is laid over the image; its usr/local/bin is ours")
    given = parser.parse_args()
    release = re.search(r'^VERSION_ID="?([^"\n]+)', given.os_release.read_text(), re.M)[1]
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    created = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc) if seconds else datetime.datetime.now(datetime.timezone.utc)
    files = [program_file(path, given.root) for path in sorted((given.root / "usr" / "local" / "bin").iterdir())]
    print(json.dumps(bill(given.version, release, installed(given.status), installed(given.compiled_in), files,
                          created.strftime("%Y-%m-%dT%H:%M:%SZ")), indent=1))


if __name__ == "__main__":
    main()
