// How long a write of a program that was made for LevelDB waits for its turn.

#include <cstdint>

// Such a program does not expect a write that gives up: it waits an hour.
constexpr uint64_t kTimeoutMs = 3600 * 1000;
