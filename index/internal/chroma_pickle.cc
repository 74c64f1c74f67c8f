#include "index/internal/chroma_pickle.h"

#include <cstddef>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"

namespace omics::index {
namespace {

constexpr std::string_view kModule = "chromadb.segment.impl.vector.local_persistent_hnsw";
constexpr std::string_view kClass = "PersistentData";

// Both writers put 1,000 pairs between a mark and its SETITEMS.
constexpr std::size_t kStackMax = 65'536;
// Chroma's state is one dictionary of three.
constexpr std::size_t kMarksMax = 8;
constexpr std::size_t kDictionariesMax = 16;
// Ids may be written once for each of the three dictionaries; the rest is names of fields.
constexpr std::int64_t kMemoPerRecord = 3;
constexpr std::int64_t kMemoBase = 64;
constexpr int kProtocolMax = 5;

enum Opcode : unsigned char {
  kProto = 0x80,
  kFrame = 0x95,
  kShortBinUnicode = 0x8c,
  kBinUnicode = 'X',
  kMemoize = 0x94,
  kStackGlobal = 0x93,
  kEmptyTuple = ')',
  kNewObject = 0x81,
  kEmptyDict = '}',
  kMark = '(',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kBinGet = 'h',
  kLongBinGet = 'j',
  kSetItem = 's',
  kSetItems = 'u',
  kNone = 'N',
  kBuild = 'b',
  kStop = '.',
};

enum class Kind : std::uint8_t { kNone, kInt, kText, kTuple, kClass, kInstance, kDict };

struct Value {
  Kind kind = Kind::kNone;
  std::string_view text = {};  // kText
  std::int64_t number = 0;     // kInt; kDict: its place in the list of dictionaries
};

struct Dictionary {
  std::vector<std::pair<std::string_view, std::int64_t>> numbers;  // text -> whole number
  std::vector<std::pair<std::string_view, Value>> fields;          // text -> None or dictionary
};

class Machine {
 public:
  Machine(std::string_view bytes, std::int64_t records_max)
      : bytes_(bytes), records_max_(records_max), memo_max_(kMemoBase + kMemoPerRecord * records_max) {}

  absl::StatusOr<ChromaPickle> Run() {
    while (!stopped_) {
      at_ = next_;
      std::uint64_t opcode = 0;
      OMICS_RETURN_IF_ERROR(Number(1, opcode));
      OMICS_RETURN_IF_ERROR(Execute(static_cast<unsigned char>(opcode)));
    }
    return Result();
  }

 private:
  absl::Status Bad(std::string_view problem) const {
    return absl::InvalidArgumentError(absl::StrCat("index_metadata.pickle, byte ", at_, ": ", ToAbsl(problem),
                                                   "; the file is damaged or not Chroma's"));
  }

  absl::Status Execute(unsigned char opcode) {
    switch (opcode) {
      case kProto:
        return Protocol();
      case kFrame:
        return Skip(8);
      case kShortBinUnicode:
        return Text(1);
      case kBinUnicode:
        return Text(4);
      case kBinInt1:
        return Integer(1);
      case kBinInt2:
        return Integer(2);
      case kBinInt:
        return Integer(4);
      case kLong1:
        return LongInteger();
      case kNone:
        return Push({});
      case kEmptyTuple:
        return Push({.kind = Kind::kTuple});
      default:
        return ExecuteStructure(opcode);
    }
  }

  absl::Status ExecuteStructure(unsigned char opcode) {
    switch (opcode) {
      case kEmptyDict:
        return NewDictionary();
      case kMark:
        if (marks_.size() >= kMarksMax) return Bad("too deep");
        marks_.push_back(stack_.size());
        return absl::OkStatus();
      case kMemoize:
        return Memoize();
      case kBinGet:
        return Recall(1);
      case kLongBinGet:
        return Recall(4);
      case kStackGlobal:
        return NamedClass();
      case kNewObject:
        return Instance();
      case kSetItem:
        return stack_.size() < Floor() + 3 ? Bad("an assignment without a dictionary") : SetItems(stack_.size() - 2);
      case kSetItems:
        return SetItemsToMark();
      case kBuild:
        return Build();
      case kStop:
        stopped_ = true;
        return absl::OkStatus();
      default:
        return Bad(absl::StrFormat("opcode 0x%02x is not allowed", opcode));
    }
  }

  // Nothing reaches below the last mark.
  std::size_t Floor() const { return marks_.empty() ? 0 : marks_.back(); }

  absl::Status Number(std::size_t width, std::uint64_t& value) {
    if (bytes_.size() - next_ < width) return Bad("the file is cut off");
    value = 0;
    std::memcpy(&value, bytes_.data() + next_, width);
    next_ += width;
    return absl::OkStatus();
  }

  absl::Status Skip(std::size_t width) {
    std::uint64_t ignored = 0;
    return Number(width, ignored);
  }

  absl::Status Push(const Value& value) {
    if (stack_.size() >= kStackMax) return Bad("the stack is full");
    stack_.push_back(value);
    return absl::OkStatus();
  }

  absl::Status Protocol() {
    std::uint64_t version = 0;
    OMICS_RETURN_IF_ERROR(Number(1, version));
    return version <= kProtocolMax ? absl::OkStatus() : Bad("a newer pickle protocol");
  }

  absl::Status Text(std::size_t width) {
    std::uint64_t size = 0;
    OMICS_RETURN_IF_ERROR(Number(width, size));
    if (bytes_.size() - next_ < size) return Bad("the file is cut off");
    const std::string_view text = bytes_.substr(next_, size);
    next_ += size;
    return Push({.kind = Kind::kText, .text = text});
  }

  absl::Status Integer(std::size_t width) {
    std::uint64_t number = 0;
    OMICS_RETURN_IF_ERROR(Number(width, number));
    const auto value = width == 4 ? static_cast<std::int32_t>(number) : static_cast<std::int64_t>(number);
    return Push({.kind = Kind::kInt, .number = value});
  }

  absl::Status LongInteger() {
    std::uint64_t width = 0;
    OMICS_RETURN_IF_ERROR(Number(1, width));
    if (width > 8) return Bad("a number of more than 64 bits");
    std::uint64_t number = 0;
    OMICS_RETURN_IF_ERROR(Number(width, number));
    const bool negative = width > 0 && (number >> (8 * width - 1)) != 0;
    if (negative && width < 8) number |= ~std::uint64_t{0} << (8 * width);
    return Push({.kind = Kind::kInt, .number = static_cast<std::int64_t>(number)});
  }

  absl::Status NewDictionary() {
    if (dictionaries_.size() >= kDictionariesMax) return Bad("too many dictionaries");
    dictionaries_.emplace_back();
    return Push({.kind = Kind::kDict, .number = static_cast<std::int64_t>(dictionaries_.size()) - 1});
  }

  absl::Status Memoize() {
    if (stack_.size() <= Floor()) return Bad("nothing to remember");
    if (static_cast<std::int64_t>(memo_.size()) >= memo_max_) return Bad("the memo is full");
    memo_.push_back(stack_.back());
    return absl::OkStatus();
  }

  absl::Status Recall(std::size_t width) {
    std::uint64_t place = 0;
    OMICS_RETURN_IF_ERROR(Number(width, place));
    if (place >= memo_.size()) return Bad("a memo entry that does not exist");
    return Push(memo_[place]);
  }

  // Takes the two topmost values off the stack if they are of the kinds given.
  bool PopPair(Kind below, Kind top, Value& below_value, Value& top_value) {
    if (stack_.size() < Floor() + 2) return false;
    top_value = stack_.back();
    below_value = stack_[stack_.size() - 2];
    if (top_value.kind != top || below_value.kind != below) return false;
    stack_.resize(stack_.size() - 2);
    return true;
  }

  absl::Status NamedClass() {
    Value module;
    Value name;
    if (!PopPair(Kind::kText, Kind::kText, module, name)) return Bad("a class without a name");
    if (module.text == kModule && name.text == kClass) return Push({.kind = Kind::kClass});
    return Bad(absl::StrCat("class '", ToAbsl(module.text.substr(0, 80)), ".", ToAbsl(name.text.substr(0, 80)),
                            "' is not allowed"));
  }

  absl::Status Instance() {
    Value type;
    Value arguments;
    if (!PopPair(Kind::kClass, Kind::kTuple, type, arguments)) return Bad("an object of no known class");
    return Push({.kind = Kind::kInstance});
  }

  absl::Status Build() {
    Value instance;
    Value state;
    if (!PopPair(Kind::kInstance, Kind::kDict, instance, state)) return Bad("a state without an object");
    return Push(state);
  }

  absl::Status SetItemsToMark() {
    if (marks_.empty()) return Bad("items without a mark");
    const std::size_t begin = marks_.back();
    marks_.pop_back();
    if (begin <= Floor()) return Bad("items without a dictionary");
    return SetItems(begin);
  }

  // Moves the pairs from `begin` up into the dictionary just below them.
  absl::Status SetItems(std::size_t begin) {
    const Value& target = stack_[begin - 1];
    if (target.kind != Kind::kDict || (stack_.size() - begin) % 2 != 0) return Bad("items without a dictionary");
    Dictionary& dictionary = dictionaries_[static_cast<std::size_t>(target.number)];
    for (std::size_t i = begin; i < stack_.size(); i += 2) {
      OMICS_RETURN_IF_ERROR(SetOne(stack_[i], stack_[i + 1], dictionary));
    }
    stack_.resize(begin);
    return absl::OkStatus();
  }

  absl::Status SetOne(const Value& key, const Value& value, Dictionary& dictionary) const {
    if (key.kind == Kind::kInt && value.kind == Kind::kText) return absl::OkStatus();  // label_to_id: the inverse
    if (key.kind != Kind::kText) return Bad("a key that is no text");
    if (value.kind == Kind::kInt) {
      if (static_cast<std::int64_t>(dictionary.numbers.size()) >= records_max_) return Bad("too many ids");
      dictionary.numbers.emplace_back(key.text, value.number);
      return absl::OkStatus();
    }
    if (value.kind != Kind::kNone && value.kind != Kind::kDict) return Bad("a value of an unknown kind");
    if (dictionary.fields.size() >= kStackMax) return Bad("too many fields");
    dictionary.fields.emplace_back(key.text, value);
    return absl::OkStatus();
  }

  absl::StatusOr<ChromaPickle> Result() {
    if (stack_.size() != 1 || !marks_.empty() || stack_[0].kind != Kind::kDict) return Bad("no state at the end");
    const auto state = static_cast<std::size_t>(stack_[0].number);
    ChromaPickle pickle;
    for (const auto& [name, number] : dictionaries_[state].numbers) {
      if (name == "max_seq_id") pickle.max_seq_id = number;
    }
    for (const auto& [name, value] : dictionaries_[state].fields) {
      if (name != "id_to_label" || value.kind != Kind::kDict) continue;
      const auto ids = static_cast<std::size_t>(value.number);
      if (ids == state) return Bad("a dictionary within itself");
      pickle.id_to_label = std::move(dictionaries_[ids].numbers);
      return pickle;
    }
    return Bad("no id_to_label");
  }

  std::string_view bytes_;
  const std::int64_t records_max_;
  const std::int64_t memo_max_;
  std::size_t at_ = 0;  // of the opcode that is being executed
  std::size_t next_ = 0;
  bool stopped_ = false;
  std::vector<Value> stack_;
  std::vector<std::size_t> marks_;
  std::vector<Value> memo_;
  std::vector<Dictionary> dictionaries_;
};

}  // namespace

absl::StatusOr<ChromaPickle> ReadChromaPickle(std::string_view bytes, std::int64_t records_max) {
  return Machine(bytes, records_max).Run();
}

}  // namespace omics::index
