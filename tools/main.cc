#include "tools/commands.h"

int main(int argc, char** argv) { return omics::tools::RunVectorctl(argc, argv); }
