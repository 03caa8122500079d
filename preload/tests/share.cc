// A program for LevelDB's C++ API, of two processes that have one directory open at once. With LevelDB alone the second one
// is locked out, and this ends with 3; with the preload library it passes.
//
//   share DIR              runs the checks in DIR, which is made; LEVEL_PARTY_ONLY, if it is set, has DIR and not DIR.plain
//   share DIR child        (started by it) writes a batch, and reads what its parent wrote

#include <sys/wait.h>
#include <unistd.h>

#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include <leveldb/comparator.h>
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

using namespace leveldb;

#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (0)

static void Ok(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(3);
}

static std::unique_ptr<DB> Open(const std::string& dir, const Options& options) {
  DB* db = nullptr;
  Ok(DB::Open(options, dir, &db));
  return std::unique_ptr<DB>(db);
}

static std::string Get(DB* db, const std::string& key, const Snapshot* snapshot = nullptr) {
  ReadOptions options;
  options.snapshot = snapshot;
  std::string value;
  const Status status = db->Get(options, key, &value);
  CHECK(status.ok() || status.IsNotFound());
  return status.ok() ? value : "(none)";
}

static int Child(const std::string& dir) {
  auto db = Open(dir, Options());
  CHECK(Get(db.get(), "parent") == "here");
  WriteOptions sync;
  sync.sync = true;
  WriteBatch batch;
  batch.Put("child", std::string(300, 'c'));
  batch.Put("gone", "");
  batch.Delete("gone");
  Ok(db->Write(sync, &batch));
  return 0;
}

static int Run(const char* program, const std::string& dir) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    execl(program, program, dir.c_str(), "child", nullptr);
    _exit(127);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void Count(void* counter, void* by) { *static_cast<int*>(counter) += *static_cast<int*>(by); }

static void CheckIterator(DB* db) {
  int cleaned = 0, one = 1, ten = 10;
  {
    std::unique_ptr<Iterator> iterator(db->NewIterator(ReadOptions()));
    iterator->RegisterCleanup(Count, &cleaned, &one);
    iterator->RegisterCleanup(Count, &cleaned, &ten);
    std::string keys;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) keys += iterator->key().ToString() + " ";
    CHECK(keys == "child parent ");
    iterator->Seek("d");
    CHECK(iterator->Valid() && iterator->value() == "here");
    iterator->Prev();
    CHECK(iterator->Valid() && iterator->key() == "child" && iterator->value().size() == 300);
    iterator->Prev();
    CHECK(!iterator->Valid() && iterator->status().ok());
    iterator->SeekToLast();
    CHECK(iterator->key() == "parent");
    CHECK(cleaned == 0);
  }
  CHECK(cleaned == 11);
}

// The bytewise order, by another name.
class Named : public Comparator {
 public:
  int Compare(const Slice& a, const Slice& b) const override { return a.compare(b); }
  const char* Name() const override { return "test.Named"; }
  void FindShortestSeparator(std::string*, const Slice&) const override {}
  void FindShortSuccessor(std::string*) const override {}
};

class OwnEnv : public EnvWrapper {
 public:
  OwnEnv() : EnvWrapper(Env::Default()) {}
};

static bool IsShared(const std::string& dir) { return access((dir + "/level-party.state").c_str(), F_OK) == 0; }

// What goes to the program's own library, and works there.
static void CheckOthers(const std::string& dir) {
  Options options;
  options.create_if_missing = true;
  Named comparator;
  options.comparator = &comparator;
  Open(dir + ".named", options)->Put(WriteOptions(), "a", "1");
  CHECK(!IsShared(dir + ".named"));
  Ok(DestroyDB(dir + ".named", options));
  OwnEnv env;
  options.comparator = BytewiseComparator();
  options.env = &env;
  Open(dir + ".env", options)->Put(WriteOptions(), "a", "1");
  CHECK(!IsShared(dir + ".env"));
  Ok(RepairDB(dir + ".env", options));
  options.env = Env::Default();
  Open(dir + ".plain", options);
  CHECK(IsShared(dir + ".plain") == (std::getenv("LEVEL_PARTY_ONLY") == nullptr));
  Ok(DestroyDB(dir + ".plain", options));
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string dir = argv[1];
  if (argc > 2) return Child(dir);
  Options options;
  DB* none;
  Status status = DB::Open(options, dir, &none);
  CHECK(none == nullptr && status.IsInvalidArgument());
  CHECK(status.ToString() == "Invalid argument: " + dir + ": does not exist (create_if_missing is false)");
  options.create_if_missing = true;
  CHECK(DB::Open(options, dir + "/no/parent", &none).IsNotFound());
  std::unique_ptr<const FilterPolicy> bloom(NewBloomFilterPolicy(10));
  options.filter_policy = bloom.get();
  auto db = Open(dir, options);
  Ok(db->Put(WriteOptions(), "parent", "here"));
  const Snapshot* before = db->GetSnapshot();
  if (const int code = Run(argv[0], dir)) return code;
  CHECK(Get(db.get(), "child") == std::string(300, 'c') && Get(db.get(), "gone") == "(none)");
  CHECK(Get(db.get(), "child", before) == "(none)");
  db->ReleaseSnapshot(before);
  CheckIterator(db.get());
  Ok(db->Write(WriteOptions(), nullptr));
  Ok(db->Delete(WriteOptions(), "child"));
  db->CompactRange(nullptr, nullptr);
  CHECK(Get(db.get(), "child") == "(none)");
  std::string stats;
  CHECK(db->GetProperty("leveldb.stats", &stats) && !stats.empty());
  CHECK(!db->GetProperty("leveldb.nothing", &stats));
  uint64_t size;
  const Range all("a", "z");
  db->GetApproximateSizes(&all, 1, &size);
  CHECK(size > 0);
  CHECK(IsShared(dir));
  options.error_if_exists = true;
  status = DB::Open(options, dir, &none);
  CHECK(status.ToString() == "Invalid argument: " + dir + ": exists (error_if_exists is true)");
  CHECK(!DestroyDB(dir, options).ok());
  db.reset();
  Ok(RepairDB(dir, options));
  options.error_if_exists = false;
  CHECK(Get(Open(dir, options).get(), "parent") == "here");
  Ok(DestroyDB(dir, options));
  CHECK(access(dir.c_str(), F_OK) != 0);
  CheckOthers(dir);
  std::puts("passed");
  return 0;
}
