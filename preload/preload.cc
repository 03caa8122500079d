// leveldb::DB over level-party, for programs that were not made for it: a library that is loaded before theirs defines
// DB::Open, DestroyDB and RepairDB. The program's own library keeps everything else: options, batches, caches, filters,
// environments, and its C API, whose leveldb_open calls DB::Open here.
//
// Promises: what can't be told to be right here goes to the program's own library, as if this one were not there: another
// version than 1.20 to 1.23, an Env or a comparator of the program's own, a compression that is not known here, and
// directories outside of LEVEL_PARTY_ONLY (README.md).
//
// Compiled once for each layout of std::string. It calls level-party by its C API.

#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <leveldb/comparator.h>
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include "level_party/level_party.h"
#include "timeout.h"

#if _GLIBCXX_USE_CXX11_ABI
#define STRING "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
#define OPEN "_ZN7leveldb2DB4OpenERKNS_7OptionsERK" STRING "PPS0_"
#define DESTROY "_ZN7leveldb9DestroyDBERK" STRING "RKNS_7OptionsE"
#define REPAIR "_ZN7leveldb8RepairDBERK" STRING "RKNS_7OptionsE"
#else
#define OPEN "_ZN7leveldb2DB4OpenERKNS_7OptionsERKSsPPS0_"
#define DESTROY "_ZN7leveldb9DestroyDBERKSsRKNS_7OptionsE"
#define REPAIR "_ZN7leveldb8RepairDBERKSsRKNS_7OptionsE"
#endif

namespace leveldb {

// The friend of WriteBatch that LevelDB's headers name.
class WriteBatchInternal {
 public:
  // Inlined: its name is the same for both layouts of std::string.
  __attribute__((always_inline)) static const std::string& Contents(const WriteBatch* batch) { return batch->rep_; }
};

namespace {

// ---- what happened, in LevelDB's words ----

Status StatusOf(lp_kind_t kind, const Slice& message) {
  switch (kind) {
    case LP_OK:
      return Status::OK();
    case LP_CORRUPTION:
    case LP_ENCODING:
      return Status::Corruption(message);
    case LP_INVALID_ARGUMENT:
    case LP_ALREADY_EXISTS:
      return Status::InvalidArgument(message);
    case LP_UNSUPPORTED:
      return Status::NotSupported(message);
    default:
      return Status::IOError(message);
  }
}

Status Told(lp_error_t* error) {
  Status status = StatusOf(lp_error_kind(error), lp_error_message(error));
  lp_error_destroy(error);
  return status;
}

// The same of one of LevelDB's C calls, whose error begins with its class.
Status Told(char* error) {
  if (error == nullptr) return Status::OK();
  const char* message = std::strstr(error, ": ");
  Status status = StatusOf(lp_last_kind(), message != nullptr ? message + 2 : error);
  leveldb_free(error);
  return status;
}

// ---- a database ----

struct PartySnapshot final : Snapshot {
  explicit PartySnapshot(leveldb_t* db) : db(db), snapshot(leveldb_create_snapshot(db)), options(leveldb_readoptions_create()) {
    leveldb_readoptions_set_snapshot(options, snapshot);
  }
  ~PartySnapshot() override {
    leveldb_readoptions_destroy(options);
    leveldb_release_snapshot(db, snapshot);
  }
  leveldb_t* db;
  const leveldb_snapshot_t* snapshot;
  leveldb_readoptions_t* options;
};

const leveldb_readoptions_t* Moment(const ReadOptions& options) {
  return options.snapshot == nullptr ? nullptr : static_cast<const PartySnapshot*>(options.snapshot)->options;
}

class PartyIterator final : public Iterator {
 public:
  explicit PartyIterator(leveldb_iterator_t* iterator) : iterator_(iterator) {}
  ~PartyIterator() override { leveldb_iter_destroy(iterator_); }
  bool Valid() const override { return leveldb_iter_valid(iterator_); }
  void SeekToFirst() override { leveldb_iter_seek_to_first(iterator_); }
  void SeekToLast() override { leveldb_iter_seek_to_last(iterator_); }
  void Seek(const Slice& target) override { leveldb_iter_seek(iterator_, target.data(), target.size()); }
  void Next() override { leveldb_iter_next(iterator_); }
  void Prev() override { leveldb_iter_prev(iterator_); }
  Slice key() const override {
    size_t length;
    const char* key = leveldb_iter_key(iterator_, &length);
    return Slice(key, length);
  }
  Slice value() const override {
    size_t length;
    const char* value = leveldb_iter_value(iterator_, &length);
    return Slice(value, length);
  }
  Status status() const override { return Told(lp_iter_error(iterator_)); }

 private:
  leveldb_iterator_t* const iterator_;
};

// Reads the length of what follows, 7 bits a byte, and takes that off `input`.
bool TakeSlice(Slice* input, Slice* slice) {
  uint32_t length = 0;
  for (int shift = 0; shift < 35 && !input->empty(); shift += 7) {
    const uint32_t byte = static_cast<unsigned char>((*input)[0]);
    input->remove_prefix(1);
    length |= (byte & 127) << shift;
    if (byte < 128) {
      if (length > input->size()) return false;
      *slice = Slice(input->data(), length);
      input->remove_prefix(length);
      return true;
    }
  }
  return false;
}

// The operations of a batch, which is: sequence (8 bytes), count (4), and for each a tag (0 delete, 1 put), key, value.
bool TakeOperations(const Slice& contents, leveldb_writebatch_t* batch) {
  if (contents.size() < 12) return false;
  Slice rest(contents.data() + 12, contents.size() - 12), key, value;
  while (!rest.empty()) {
    const char tag = rest[0];
    rest.remove_prefix(1);
    if (!TakeSlice(&rest, &key)) return false;
    if (tag == 0) {
      leveldb_writebatch_delete(batch, key.data(), key.size());
    } else if (tag == 1 && TakeSlice(&rest, &value)) {
      leveldb_writebatch_put(batch, key.data(), key.size(), value.data(), value.size());
    } else {
      return false;
    }
  }
  return true;
}

class PartyDB final : public DB {
 public:
  explicit PartyDB(leveldb_t* db) : db_(db) {}
  ~PartyDB() override { leveldb_close(db_); }

  Status Put(const WriteOptions& options, const Slice& key, const Slice& value) override {
    return Told(lp_put(db_, key.data(), key.size(), value.data(), value.size(), options.sync));
  }
  Status Delete(const WriteOptions& options, const Slice& key) override {
    return Told(lp_delete(db_, key.data(), key.size(), options.sync));
  }
  Status Write(const WriteOptions& options, WriteBatch* batch) override {
    if (batch == nullptr) return Status::OK();  // in LevelDB it waits for earlier writes, which have returned here
    const std::string& contents = WriteBatchInternal::Contents(batch);
    leveldb_writebatch_t* operations = leveldb_writebatch_create();
    Status status = TakeOperations(Slice(contents.data(), contents.size()), operations)
                        ? Told(lp_write(db_, operations, options.sync, nullptr))
                        : Status::Corruption("malformed WriteBatch");
    leveldb_writebatch_destroy(operations);
    return status;
  }
  Status Get(const ReadOptions& options, const Slice& key, std::string* value) override {
    char* found = nullptr;
    size_t length;
    Status status = Told(lp_get(db_, Moment(options), key.data(), key.size(), &found, &length));
    if (status.ok() && found == nullptr) return Status::NotFound(Slice());
    if (found != nullptr) value->assign(found, length);
    leveldb_free(found);
    return status;
  }
  Iterator* NewIterator(const ReadOptions& options) override {
    return new PartyIterator(leveldb_create_iterator(db_, Moment(options)));
  }
  const Snapshot* GetSnapshot() override { return new PartySnapshot(db_); }
  void ReleaseSnapshot(const Snapshot* snapshot) override { delete static_cast<const PartySnapshot*>(snapshot); }
  bool GetProperty(const Slice& property, std::string* value) override {
    value->clear();
    const std::string name(property.data(), property.size());
    char* found = leveldb_property_value(db_, name.c_str());
    if (found == nullptr) return false;
    value->assign(found);
    leveldb_free(found);
    return true;
  }
  void GetApproximateSizes(const Range* ranges, int count, uint64_t* sizes) override {
    for (int i = 0; i < count; i++) {
      const char *start = ranges[i].start.data(), *limit = ranges[i].limit.data();
      const size_t start_length = ranges[i].start.size(), limit_length = ranges[i].limit.size();
      leveldb_approximate_sizes(db_, 1, &start, &start_length, &limit, &limit_length, &sizes[i]);
    }
  }
  void CompactRange(const Slice* begin, const Slice* end) override {
    leveldb_compact_range(db_, begin != nullptr ? begin->data() : nullptr, begin != nullptr ? begin->size() : 0,
                          end != nullptr ? end->data() : nullptr, end != nullptr ? end->size() : 0);
  }

 private:
  leveldb_t* const db_;
};

// ---- the program's own library ----

// The library whose function was called, found by who called it. `caller` is a return address: the code of the program, or
// of its library where the C API was called.
class Own {
 public:
  explicit Own(void* caller) {
    Dl_info who;
    if (dladdr(caller, &who) != 0) handle_ = dlopen(who.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  }
  ~Own() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  Own(const Own&) = delete;
  Own& operator=(const Own&) = delete;

  // Its function `name`, which is not `ours`. A copy that a Python wheel brings along is found by its caller alone.
  void* Find(const char* name, void* ours) const {
    void* found = handle_ != nullptr ? dlsym(handle_, name) : nullptr;
    if (found == nullptr || found == ours) found = dlsym(RTLD_NEXT, name);
    return found == ours ? nullptr : found;
  }

  // Whether its headers declare classes as those that this was compiled with do.
  bool IsKnown() const {
    const auto major = reinterpret_cast<int (*)()>(Find("leveldb_major_version", nullptr));
    const auto minor = reinterpret_cast<int (*)()>(Find("leveldb_minor_version", nullptr));
    return major != nullptr && minor != nullptr && major() == 1 && minor() >= 20 && minor() <= 23;
  }

  bool HasDefaultEnv(const Options& options) const {
    const auto env = reinterpret_cast<Env* (*)()>(Find("_ZN7leveldb3Env7DefaultEv", nullptr));
    return env != nullptr && options.env == env();
  }

 private:
  void* handle_ = nullptr;
};

// ---- which directories ----

// The path without links; of a directory that is to be made, that of its parent and its name.
std::string Resolved(const std::string& path) {
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) != nullptr) return resolved;
  std::string plain = path;
  while (plain.size() > 1 && plain.back() == '/') plain.pop_back();
  const size_t slash = plain.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : plain.substr(0, slash == 0 ? 1 : slash);
  if (realpath(parent.c_str(), resolved) == nullptr) return plain;
  return std::string(resolved) + "/" + plain.substr(slash == std::string::npos ? 0 : slash + 1);
}

// Whether LEVEL_PARTY_ONLY, a list of directories with colons between, has the directory or one that it is in.
bool IsChosen(const std::string& name) {
  const char* only = std::getenv("LEVEL_PARTY_ONLY");
  if (only == nullptr || *only == '\0') return true;
  const std::string directory = Resolved(name) + "/";
  for (const char* rest = only;;) {
    const size_t length = std::strcspn(rest, ":");
    if (length > 0) {
      const std::string chosen = Resolved(std::string(rest, length));
      const std::string inside = chosen.back() == '/' ? chosen : chosen + "/";
      if (directory.compare(0, inside.size(), inside) == 0) return true;
    }
    rest += length;
    if (*rest++ == '\0') return false;
  }
}

void Trace(const char* what, const std::string& name) {
  if (std::getenv("LEVEL_PARTY_TRACE") == nullptr) return;
  std::fprintf(stderr, "level-party: process %d: %s %s\n", static_cast<int>(getpid()), what, name.c_str());
}

// Whether a call with `options` on the directory `name` is made here; else it says why not, where that is traced.
bool IsOurs(const Own& own, const Options& options, const std::string& name) {
  const char* why = nullptr;
  if (!IsChosen(name)) {
    why = "left to its own library, as LEVEL_PARTY_ONLY does not have it:";
  } else if (!own.IsKnown()) {
    why = "left to its own library, which is not LevelDB 1.20 to 1.23:";
  } else if (!own.HasDefaultEnv(options)) {
    why = "left to its own library, for an Env of the program's:";
  } else if (std::strcmp(options.comparator->Name(), "leveldb.BytewiseComparator") != 0) {
    why = "left to its own library, for a comparator of the program's:";
  } else if (options.compression != kNoCompression && options.compression != kSnappyCompression) {
    why = "left to its own library, for its compression:";
  }
  if (why != nullptr) Trace(why, name);
  return why == nullptr;
}

// ---- the three functions ----

// How many bits a key LevelDB's own Bloom filters of `policy` have; 0: it is none of these, and reads do without.
int BloomBits(const FilterPolicy* policy) {
  if (policy == nullptr || std::strcmp(policy->Name(), "leveldb.BuiltinBloomFilter2") != 0) return 0;
  constexpr int kKeys = 1000;
  static const Slice keys[kKeys];
  std::string filter;
  policy->CreateFilter(keys, kKeys, &filter);
  return static_cast<int>((filter.size() - 1) * 8 / kKeys);
}

leveldb_options_t* Settings(const Options& options) {
  leveldb_options_t* settings = leveldb_options_create();
  leveldb_options_set_create_if_missing(settings, options.create_if_missing);
  leveldb_options_set_error_if_exists(settings, options.error_if_exists);
  leveldb_options_set_write_buffer_size(settings, options.write_buffer_size);
  leveldb_options_set_block_size(settings, options.block_size);
  leveldb_options_set_max_file_size(settings, options.max_file_size);
  leveldb_options_set_compression(settings, options.compression);
  const int bits = BloomBits(options.filter_policy);
  if (bits > 0) {
    leveldb_filterpolicy_t* bloom = leveldb_filterpolicy_create_bloom(bits);
    leveldb_options_set_filter_policy(settings, bloom);
    leveldb_filterpolicy_destroy(bloom);
  }
  lp_options_set_timeout(settings, kTimeoutMs);
  // The program may call select, which takes no descriptors above the usual limit.
  lp_options_set_raise_descriptor_limit(settings, 0);
  return settings;
}

Status OpenHere(const Options& options, const std::string& name, DB** db) {
  leveldb_options_t* settings = Settings(options);
  leveldb_t* opened = nullptr;
  lp_error_t* error = lp_open(settings, name.c_str(), &opened);
  leveldb_options_destroy(settings);
  Trace(error == nullptr ? "opened" : lp_error_message(error), name);
  if (error == nullptr) *db = new PartyDB(opened);
  if (lp_error_kind(error) == LP_NOT_FOUND && options.create_if_missing) {
    const Status status = Status::NotFound(lp_error_message(error));
    lp_error_destroy(error);
    return status;
  }
  // Two sentences that programs look for.
  const char* known = nullptr;
  if (lp_error_kind(error) == LP_NOT_FOUND) {
    known = "does not exist (create_if_missing is false)";
  } else if (lp_error_kind(error) == LP_ALREADY_EXISTS) {
    known = "exists (error_if_exists is true)";
  }
  if (known == nullptr) return Told(error);
  lp_error_destroy(error);
  return Status::InvalidArgument(Slice(name.data(), name.size()), known);
}

using OpenFunction = Status (*)(const Options&, const std::string&, DB**);
using OfflineFunction = Status (*)(const std::string&, const Options&);
using Offline = void (*)(const leveldb_options_t*, const char*, char**);

// Destroys or repairs a database: here by `here`, or by the library's own function `name`.
Status OfflineCall(const std::string& directory, const Options& options, void* caller, const char* name, void* ours,
                   Offline here) {
  const Own own(caller);
  if (!IsOurs(own, options, directory)) {
    const auto theirs = reinterpret_cast<OfflineFunction>(own.Find(name, ours));
    return theirs != nullptr ? theirs(directory, options) : Status::NotSupported("the program's own LevelDB is not found");
  }
  char* error = nullptr;
  here(nullptr, directory.c_str(), &error);
  Trace(error == nullptr ? "destroyed or repaired" : error, directory);
  return Told(error);
}

}  // namespace

__attribute__((noinline)) Status DB::Open(const Options& options, const std::string& name, DB** db) {
  const Own own(__builtin_return_address(0));
  *db = nullptr;
  if (IsOurs(own, options, name)) return OpenHere(options, name, db);
  const auto theirs = reinterpret_cast<OpenFunction>(own.Find(OPEN, reinterpret_cast<void*>(&DB::Open)));
  return theirs != nullptr ? theirs(options, name, db) : Status::NotSupported("the program's own LevelDB is not found");
}

__attribute__((noinline)) Status DestroyDB(const std::string& name, const Options& options) {
  return OfflineCall(name, options, __builtin_return_address(0), DESTROY, reinterpret_cast<void*>(&DestroyDB),
                     leveldb_destroy_db);
}

__attribute__((noinline)) Status RepairDB(const std::string& name, const Options& options) {
  return OfflineCall(name, options, __builtin_return_address(0), REPAIR, reinterpret_cast<void*>(&RepairDB),
                     leveldb_repair_db);
}

}  // namespace leveldb
