// C++ LevelDB under the workload of `cargo bench -p level-party-bench`: the same keys, values and orders
// (../src/data.rs), the same timing (one look at the clock an operation), the same line of figures
// (../src/samples.rs: count mean p50 p99 max, in nanoseconds an operation).
//
//   leveldb_bench name | fingerprint
//   leveldb_bench WORKLOAD DIR ENTRIES snappy|none
//
// Options are LevelDB's defaults, which are 4 MiB of write buffer, 8 MiB of block cache, no filter.
// To build: apt-get install g++ libleveldb-dev && ./build.sh

#include <leveldb/db.h>
#include <leveldb/write_batch.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr size_t kKeyBytes = 16;
constexpr size_t kValueBytes = 100;
constexpr size_t kValues = 10000;
constexpr size_t kBatch = 1000;
constexpr size_t kHot = 10000;
constexpr size_t kFingerprinted = 1000;

using Clock = std::chrono::steady_clock;

void Check(const leveldb::Status& status) {
  if (!status.ok()) {
    std::fprintf(stderr, "leveldb_bench: %s\n", status.ToString().c_str());
    std::exit(1);
  }
}

void Require(bool condition, const char* what) {
  if (!condition) {
    std::fprintf(stderr, "leveldb_bench: %s\n", what);
    std::exit(1);
  }
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  uint64_t Below(uint64_t bound) { return Next() % bound; }

 private:
  uint64_t state_;
};

class Data {
 public:
  explicit Data(size_t entries) : entries_(entries) {
    Random random(1);
    values_.reserve(kValues * kValueBytes);
    for (size_t i = 0; i < kValues; i++) {
      const size_t start = values_.size();
      for (size_t j = 0; j < kValueBytes / 2; j++) {
        values_.push_back(static_cast<char>(' ' + random.Below(95)));
      }
      values_.append(values_.substr(start));
    }
  }

  size_t entries() const { return entries_; }

  // The key of entry `index`, written to `digits`.
  leveldb::Slice Key(size_t index, char* digits) const { return Decimal(2 * index, digits); }

  leveldb::Slice AbsentKey(size_t index, char* digits) const {
    return Decimal(2 * index + 1, digits);
  }

  leveldb::Slice Value(size_t index) const {
    return leveldb::Slice(values_.data() + index % kValues * kValueBytes, kValueBytes);
  }

  std::vector<uint32_t> InOrder() const {
    std::vector<uint32_t> order(entries_);
    for (size_t i = 0; i < entries_; i++) order[i] = static_cast<uint32_t>(i);
    return order;
  }

  std::vector<uint32_t> Shuffled(uint64_t seed) const {
    std::vector<uint32_t> order = InOrder();
    Random random(seed);
    for (size_t i = entries_; i-- > 1;) std::swap(order[i], order[random.Below(i + 1)]);
    return order;
  }

  std::vector<uint32_t> Hot(uint64_t seed) const {
    std::vector<uint32_t> order(entries_);
    Random random(seed);
    for (uint32_t& index : order) {
      index = static_cast<uint32_t>(random.Below(std::min(entries_, kHot)));
    }
    return order;
  }

 private:
  static leveldb::Slice Decimal(uint64_t number, char* digits) {
    for (size_t i = kKeyBytes; i-- > 0; number /= 10) {
      digits[i] = static_cast<char>('0' + number % 10);
    }
    return leveldb::Slice(digits, kKeyBytes);
  }

  size_t entries_;
  std::string values_;
};

uint64_t Fingerprint() {
  const Data data(kFingerprinted);
  uint64_t hash = 0xcbf29ce484222325u;
  const auto take = [&hash](const leveldb::Slice& bytes) {
    for (size_t i = 0; i < bytes.size(); i++) {
      hash = (hash ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3u;
    }
  };
  char digits[kKeyBytes];
  for (uint32_t index : data.Shuffled(1)) {
    take(data.Key(index, digits));
    take(data.Value(index));
  }
  return hash;
}

// Times of operations, of which `per` make one sample.
class Samples {
 public:
  explicit Samples(size_t count) { nanos_.reserve(count); }

  template <typename Items, typename Operation>
  void TimeEach(const Items& items, Operation operation) {
    Clock::time_point last = Clock::now();
    for (const auto& item : items) {
      operation(item);
      const Clock::time_point now = Clock::now();
      nanos_.push_back(static_cast<uint64_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(now - last).count()));
      last = now;
    }
  }

  void Print(size_t per) {
    Require(!nanos_.empty(), "nothing was measured");
    std::sort(nanos_.begin(), nanos_.end());
    double total = 0;
    for (uint64_t nanos : nanos_) total += static_cast<double>(nanos);
    const double count = static_cast<double>(nanos_.size());
    std::printf("%zu %.1f %.1f %.1f %.1f\n", nanos_.size() * per,
                total / (count * static_cast<double>(per)), At(50) / static_cast<double>(per),
                At(99) / static_cast<double>(per), At(100) / static_cast<double>(per));
  }

 private:
  double At(size_t percent) const {
    const size_t rank = (nanos_.size() * percent + 99) / 100;
    return static_cast<double>(nanos_[std::max<size_t>(rank, 1) - 1]);
  }

  std::vector<uint64_t> nanos_;
};

std::unique_ptr<leveldb::DB> Open(const std::string& dir, bool snappy) {
  leveldb::Options options;
  options.create_if_missing = true;
  options.compression = snappy ? leveldb::kSnappyCompression : leveldb::kNoCompression;
  leveldb::DB* db = nullptr;
  Check(leveldb::DB::Open(options, dir, &db));
  return std::unique_ptr<leveldb::DB>(db);
}

void Put(leveldb::DB* db, const Data& data, const std::vector<uint32_t>& order) {
  Samples samples(order.size());
  const leveldb::WriteOptions options;
  char digits[kKeyBytes];
  samples.TimeEach(order, [&](uint32_t index) {
    Check(db->Put(options, data.Key(index, digits), data.Value(index)));
  });
  samples.Print(1);
}

void PutBatches(leveldb::DB* db, const Data& data, const std::vector<uint32_t>& order) {
  std::vector<size_t> starts;
  for (size_t start = 0; start + kBatch <= order.size(); start += kBatch) starts.push_back(start);
  Samples samples(starts.size());
  const leveldb::WriteOptions options;
  char digits[kKeyBytes];
  samples.TimeEach(starts, [&](size_t start) {
    leveldb::WriteBatch batch;
    for (size_t i = start; i < start + kBatch; i++) {
      batch.Put(data.Key(order[i], digits), data.Value(order[i]));
    }
    Check(db->Write(options, &batch));
  });
  samples.Print(kBatch);
}

void Get(leveldb::DB* db, const Data& data, const std::vector<uint32_t>& order, bool hit) {
  const leveldb::ReadOptions options;
  char digits[kKeyBytes];
  std::string value;
  size_t found = 0;
  const auto get = [&](uint32_t index) {
    const leveldb::Slice key = hit ? data.Key(index, digits) : data.AbsentKey(index, digits);
    const leveldb::Status status = db->Get(options, key, &value);
    if (status.ok()) {
      found++;
    } else if (!status.IsNotFound()) {
      Check(status);
    }
  };
  for (size_t i = 0; i < order.size() / 10; i++) get(order[i]);
  found = 0;
  Samples samples(order.size());
  samples.TimeEach(order, get);
  Require(found == (hit ? order.size() : 0), "a get answered wrongly");
  samples.Print(1);
}

size_t Walk(leveldb::DB* db, bool reverse, size_t* bytes) {
  std::unique_ptr<leveldb::Iterator> iterator(db->NewIterator(leveldb::ReadOptions()));
  size_t count = 0;
  if (reverse) {
    for (iterator->SeekToLast(); iterator->Valid(); iterator->Prev()) {
      *bytes += iterator->key().size() + iterator->value().size();
      count++;
    }
  } else {
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      *bytes += iterator->key().size() + iterator->value().size();
      count++;
    }
  }
  Check(iterator->status());
  return count;
}

void Scan(leveldb::DB* db, const Data& data, bool reverse) {
  size_t bytes = 0;
  Walk(db, reverse, &bytes);
  const Clock::time_point start = Clock::now();
  bytes = 0;
  const size_t count = Walk(db, reverse, &bytes);
  const auto nanos =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
  Require(count == data.entries() && bytes == count * (kKeyBytes + kValueBytes),
          "a scan did not show all entries");
  std::printf("%zu %.1f - - -\n", count, static_cast<double>(nanos) / static_cast<double>(count));
}

// Opens `count` databases that do not exist yet.
void OpenEmpty(const std::string& dir, size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; i++) names.push_back(dir + "/cpp-" + std::to_string(i));
  Samples samples(count);
  std::vector<std::unique_ptr<leveldb::DB>> opened;
  opened.reserve(count);
  samples.TimeEach(names, [&](const std::string& name) { opened.push_back(Open(name, true)); });
  samples.Print(1);
}

int Run(const std::string& workload, const std::string& dir, size_t entries, bool snappy) {
  if (workload == "open-empty") {
    OpenEmpty(dir, entries);
    return 0;
  }
  const Data data(entries);
  const std::unique_ptr<leveldb::DB> db = Open(dir, snappy);
  if (workload == "put-random") {
    Put(db.get(), data, data.Shuffled(1));
  } else if (workload == "put-sequential") {
    Put(db.get(), data, data.InOrder());
  } else if (workload == "batch-random") {
    PutBatches(db.get(), data, data.Shuffled(1));
  } else if (workload == "batch-sequential") {
    PutBatches(db.get(), data, data.InOrder());
  } else if (workload == "prepare") {
    PutBatches(db.get(), data, data.Shuffled(1));
    db->CompactRange(nullptr, nullptr);
  } else if (workload == "get-hit" || workload == "get-miss") {
    Get(db.get(), data, data.Shuffled(2), workload == "get-hit");
  } else if (workload == "get-hot") {
    Get(db.get(), data, data.Hot(2), true);
  } else if (workload == "scan-forward" || workload == "scan-reverse") {
    Scan(db.get(), data, workload == "scan-reverse");
  } else {
    std::fprintf(stderr, "leveldb_bench: no workload %s\n", workload.c_str());
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string workload = argc > 1 ? argv[1] : "";
  if (workload == "name") {
    std::printf("C++ LevelDB %d.%d\n", leveldb::kMajorVersion, leveldb::kMinorVersion);
    return 0;
  }
  if (workload == "fingerprint") {
    std::printf("%016" PRIx64 "\n", Fingerprint());
    return 0;
  }
  if (argc != 5) {
    std::fprintf(stderr, "usage: leveldb_bench WORKLOAD DIR ENTRIES snappy|none\n");
    return 2;
  }
  return Run(workload, argv[2], std::strtoull(argv[3], nullptr, 10), std::string(argv[4]) == "snappy");
}
