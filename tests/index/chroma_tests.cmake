# Tests of the Chroma reader and importer; included by the CMakeLists.txt beside it.
omics_test(archive_test omics_index LibArchive::LibArchive SQLite::SQLite3)
omics_test(chroma_pickle_test omics_index LibArchive::LibArchive SQLite::SQLite3)
omics_test(chroma_hnsw_test omics_index LibArchive::LibArchive SQLite::SQLite3)
omics_test(chroma_store_test omics_index LibArchive::LibArchive SQLite::SQLite3 simdjson::simdjson)
omics_test(chroma_mutation_test omics_index LibArchive::LibArchive SQLite::SQLite3)
omics_test(chroma_import_test omics_index LibArchive::LibArchive SQLite::SQLite3)
