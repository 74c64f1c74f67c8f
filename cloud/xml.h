// What is needed of the XML that S3 and STS answer with: the text between two tags. No XML parser: AWS's answers have
// no attributes on what is looked for, no CDATA and no nesting of an element in one of the same name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace omics::cloud {

// The content of each <name>…</name>, as it stands, in order.
std::vector<std::string_view> XmlElements(std::string_view xml, std::string_view name);

// The text of the first one, entities replaced; "" if there is none.
std::string XmlText(std::string_view xml, std::string_view name);

}  // namespace omics::cloud
