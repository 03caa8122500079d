/* LevelDB's C API by the name that programs include it by. */
#include "level_party/leveldb.h"
