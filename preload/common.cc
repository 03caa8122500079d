// The parts of LevelDB's classes that our own classes rest on, as its headers declare them: constructors and destructors of
// base classes, and the state of a Status. Here is what no std::string's layout touches, so it is compiled once. Nothing of
// it is exported: the program's own library keeps its own.

#include <cstdint>
#include <cstring>

#include <leveldb/db.h>
#include <leveldb/iterator.h>
#include <leveldb/status.h>

namespace leveldb {

DB::~DB() = default;
Snapshot::~Snapshot() = default;

// A DB of ours answers these itself.
Status DB::Put(const WriteOptions&, const Slice&, const Slice&) { return Status::NotSupported("put"); }
Status DB::Delete(const WriteOptions&, const Slice&) { return Status::NotSupported("delete"); }

Iterator::Iterator() {
  cleanup_head_.function = nullptr;
  cleanup_head_.next = nullptr;
}

// Runs what the program registered with its own library's RegisterCleanup.
Iterator::~Iterator() {
  if (cleanup_head_.IsEmpty()) return;
  cleanup_head_.Run();
  for (CleanupNode* node = cleanup_head_.next; node != nullptr;) {
    node->Run();
    CleanupNode* next = node->next;
    delete node;
    node = next;
  }
}

// The state: length of the message (u32), code (1 byte), message.
const char* Status::CopyState(const char* state) {
  uint32_t length;
  std::memcpy(&length, state, sizeof length);
  char* copy = new char[length + 5];
  std::memcpy(copy, state, length + 5);
  return copy;
}

Status::Status(Code code, const Slice& what, const Slice& more) {
  const size_t separator = more.empty() ? 0 : 2;
  const uint32_t length = static_cast<uint32_t>(what.size() + separator + more.size());
  char* state = new char[length + 5];
  std::memcpy(state, &length, sizeof length);
  state[4] = static_cast<char>(code);
  char* message = state + 5;
  std::memcpy(message, what.data(), what.size());
  std::memcpy(message + what.size(), ": ", separator);
  std::memcpy(message + what.size() + separator, more.data(), more.size());
  state_ = state;
}

}  // namespace leveldb
