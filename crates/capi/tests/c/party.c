/* Beyond LevelDB's own test: several processes on one directory, through the C library alone.

   party DIR          runs all checks in the directory DIR, which is made
   party DIR count N  (started by it) counts N up in transactions, one each
   party DIR other    (started by it) opens with a comparator of another name, and ends with the kind of error
   party DIR join     (started by it) joins, and ends with the kind of error */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "level_party/level_party.h"

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      abort();                                                                      \
    }                                                                               \
  } while (0)

static void check_ok(lp_error_t* error, int line) {
  if (error == NULL) return;
  fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, line, lp_kind_name(lp_error_kind(error)), lp_error_message(error));
  abort();
}
#define OK(call) check_ok((call), __LINE__)

static void check_kind(lp_error_t* error, lp_kind_t kind, int line) {
  if (lp_error_kind(error) != kind || lp_last_kind() != kind) {
    fprintf(stderr, "%s:%d: %s instead of %s: %s\n", __FILE__, line, lp_kind_name(lp_error_kind(error)),
            lp_kind_name(kind), lp_error_message(error));
    abort();
  }
  lp_error_destroy(error);
}
#define FAILS(call, kind) check_kind((call), (kind), __LINE__)

static const char* program;

static pid_t start(const char* dir, const char* role, const char* argument) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    execl(program, program, dir, role, argument, (char*)NULL);
    _exit(127);
  }
  return child;
}

/* The exit code of a child that ends by itself. */
static int ended(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/* Waits long enough for valgrind, under which the first opening of a database takes a while. */
static leveldb_options_t* patient(void) {
  leveldb_options_t* options = leveldb_options_create();
  lp_options_set_open_timeout(options, 600000);
  lp_options_set_timeout(options, 600000);
  return options;
}

static leveldb_t* opened(const char* dir) {
  leveldb_options_t* options = patient();
  leveldb_t* db;
  leveldb_options_set_create_if_missing(options, 1);
  OK(lp_open(options, dir, &db));
  leveldb_options_destroy(options);
  return db;
}

/* ---- transactions ---- */

static lp_error_t* count_up(void* state, lp_transaction_t* transaction) {
  char* value;
  char text[32];
  size_t length;
  int number = 0;
  lp_error_t* error = lp_transaction_get(transaction, "count", 5, &value, &length);
  (void)state;
  if (error != NULL) return error;
  if (value != NULL) number = atoi(value);
  leveldb_free(value);
  snprintf(text, sizeof text, "%d", number + 1);
  return lp_transaction_put(transaction, "count", 5, text, strlen(text));
}

static lp_error_t* give_up(void* state, lp_transaction_t* transaction) {
  (void)state;
  OK(lp_transaction_put(transaction, "given up", 8, "", 0));
  return lp_error_create("not today");
}

struct sum {
  char keys[64];
  int most;
};

static uint8_t visit(void* state, const char* key, size_t keylen, const char* value, size_t vallen) {
  struct sum* sum = state;
  strncat(sum->keys, key, keylen);
  CHECK(vallen == 1 && value[0] == '1');
  return --sum->most != 0;
}

static lp_error_t* walk(void* state, lp_transaction_t* transaction) {
  struct sum* sum = state;
  sum->keys[0] = '\0';
  OK(lp_transaction_set_sync(transaction, 1));
  OK(lp_transaction_put(transaction, "w/c", 3, "1", 1));
  OK(lp_transaction_delete(transaction, "w/a", 3));
  sum->most = -1;
  OK(lp_transaction_iterate(transaction, "w/", 2, "w0", 2, 0, sum, visit));
  sum->most = 1;
  return lp_transaction_iterate(transaction, "w/", 2, "w0", 2, 1, sum, visit);
}

static void check_transactions(leveldb_t* db) {
  struct sum sum;
  lp_error_t* error = lp_transaction(db, give_up, NULL);
  char* value;
  size_t length;
  CHECK(lp_error_kind(error) == LP_ABORTED && strcmp(lp_error_message(error), "not today") == 0);
  CHECK(lp_error_had_no_effect(error) && !lp_error_is_retryable(error));
  lp_error_destroy(error);
  OK(lp_get(db, NULL, "given up", 8, &value, &length));
  CHECK(value == NULL && length == 0);
  OK(lp_put(db, "w/a", 3, "1", 1, 0));
  OK(lp_put(db, "w/b", 3, "1", 1, 0));
  OK(lp_transaction(db, walk, &sum));
  CHECK(strcmp(sum.keys, "w/bw/cw/c") == 0);
  FAILS(lp_transaction(db, NULL, NULL), LP_INVALID_ARGUMENT);
}

/* ---- a watch of what two other processes do ---- */

enum { EACH = 200 };

/* The changes from `watch` on until one has the value `last`; each is one more than the one before. */
static void follow(lp_watch_t* watch, int before, int last) {
  while (before < last) {
    lp_change_t change;
    char text[32];
    OK(lp_watch_next(watch, -1, &change));
    CHECK(change.kind == LP_CHANGE_PUT && change.keylen == 5 && memcmp(change.key, "count", 5) == 0);
    CHECK(change.vallen < sizeof text);
    memcpy(text, change.value, change.vallen);
    text[change.vallen] = '\0';
    before++;
    CHECK(atoi(text) == before);
  }
}

static void check_watch(leveldb_t* db, const char* dir) {
  lp_watch_t* watch;
  lp_change_t change;
  char number[32], *position;
  pid_t children[2];
  int i;
  snprintf(number, sizeof number, "%d", EACH);
  OK(lp_watch_create(db, "count", 5, "counu", 5, LP_WATCH_NOW, NULL, &watch));
  OK(lp_watch_next(watch, 0, &change));
  CHECK(change.kind == LP_CHANGE_NONE && change.key == NULL);
  for (i = 0; i < 2; i++) children[i] = start(dir, "count", number);
  follow(watch, 0, EACH / 2);
  position = lp_watch_position(watch);
  lp_watch_destroy(watch);
  OK(lp_watch_create(db, "count", 5, "counu", 5, LP_WATCH_AFTER, position, &watch));
  leveldb_free(position);
  follow(watch, EACH / 2, 2 * EACH);
  for (i = 0; i < 2; i++) CHECK(ended(children[i]) == 0);
  OK(lp_delete(db, "count", 5, 0));
  OK(lp_watch_next(watch, -1, &change));
  CHECK(change.kind == LP_CHANGE_DELETE && change.value == NULL && change.sequence > 0);
  OK(lp_watch_next(watch, 0, &change));
  CHECK(change.kind == LP_CHANGE_NONE);
  lp_watch_destroy(watch);
  FAILS(lp_watch_create(db, NULL, 0, NULL, 0, LP_WATCH_AFTER, "no position", &watch), LP_INVALID_ARGUMENT);
  CHECK(watch == NULL);
}

static void* wait_for_ever(void* watch) {
  lp_change_t change;
  return lp_watch_next(watch, -1, &change);
}

static void check_watch_is_closed_by_another_thread(leveldb_t* db) {
  lp_watch_t* watch;
  pthread_t thread;
  void* error;
  OK(lp_watch_create(db, NULL, 0, NULL, 0, LP_WATCH_NOW, NULL, &watch));
  CHECK(pthread_create(&thread, NULL, wait_for_ever, watch) == 0);
  lp_watch_close(watch);
  CHECK(pthread_join(thread, &error) == 0);
  CHECK(lp_error_kind(error) == LP_CLOSED);
  lp_error_destroy(error);
  lp_watch_destroy(watch);
}

/* ---- the other calls ---- */

static void check_calls(leveldb_t* db, const char* dir) {
  uint8_t swapped;
  char *held, *json, *value, copy[4096], pid[32];
  size_t length;
  uint64_t count, sequence, again;
  leveldb_t* part;
  leveldb_writebatch_t* batch = leveldb_writebatch_create();
  OK(lp_compare_and_swap(db, "owner", 5, NULL, 0, "me", 2, &swapped, &held, &length));
  CHECK(swapped && held == NULL);
  OK(lp_compare_and_swap(db, "owner", 5, NULL, 0, "you", 3, &swapped, &held, &length));
  CHECK(!swapped && length == 2 && memcmp(held, "me", 2) == 0);
  leveldb_free(held);
  OK(lp_compare_and_swap(db, "owner", 5, "me", 2, NULL, 0, &swapped, NULL, NULL));
  CHECK(swapped);

  OK(lp_sublevel(db, "users", &part));
  OK(lp_put(part, "ada", 3, "1815", 4, 1));
  OK(lp_get(db, NULL, "!users!ada", 10, &value, &length));
  CHECK(length == 4 && strcmp(value, "1815") == 0);
  leveldb_free(value);
  OK(lp_clear(part, NULL, 0, NULL, 0, &count));
  CHECK(count == 1);
  leveldb_close(part);
  FAILS(lp_sublevel(db, "no!name", &part), LP_INVALID_ARGUMENT);

  leveldb_writebatch_put(batch, "b/1", 3, "1", 1);
  leveldb_writebatch_put(batch, "b/2", 3, "2", 1);
  OK(lp_write(db, batch, 1, &sequence));
  OK(lp_write(db, batch, 0, &again));
  CHECK(again == sequence + 2);
  leveldb_writebatch_destroy(batch);

  OK(lp_status(db, &json));
  snprintf(pid, sizeof pid, "\"pid\":%d", (int)getpid());
  CHECK(strstr(json, pid) != NULL && strstr(json, "\"role\":\"leader\"") != NULL);
  leveldb_free(json);
  snprintf(copy, sizeof copy, "%s.copy", dir);
  OK(lp_checkpoint(db, copy, &count));
  CHECK(count == again);
  FAILS(lp_checkpoint(db, copy, &count), LP_ALREADY_EXISTS);
  OK(lp_compact_range(db, NULL, 0, NULL, 0));
  CHECK(strcmp(lp_kind_name(LP_TIMEOUT), "LP_TIMEOUT") == 0 && *lp_kind_name((lp_kind_t)99) == '\0');
}

/* More operations than fit into 20 bits. */
static void check_large_batch(leveldb_t* db) {
  enum { MANY = (1 << 20) + 5 };
  leveldb_writebatch_t* batch = leveldb_writebatch_create();
  char key[16], *error = NULL, *value;
  size_t length;
  int i;
  for (i = 0; i < MANY; i++) {
    snprintf(key, sizeof key, "n/%07d", i);
    leveldb_writebatch_put(batch, key, 9, NULL, 0);
  }
  leveldb_write(db, NULL, batch, &error);
  if (error != NULL) fprintf(stderr, "%s\n", error);
  CHECK(error == NULL);
  leveldb_writebatch_destroy(batch);
  value = leveldb_get(db, NULL, key, 9, &length, &error);
  CHECK(value != NULL && length == 0 && error == NULL);
  leveldb_free(value);
}

/* An iterator that turns at every entry, and one at a snapshot. */
static void check_iterators(leveldb_t* db) {
  leveldb_readoptions_t* options = leveldb_readoptions_create();
  const leveldb_snapshot_t* snapshot;
  leveldb_iterator_t* iterator;
  char key[16], *error = NULL;
  size_t length;
  int i;
  for (i = 0; i < 300; i++) {
    snprintf(key, sizeof key, "i/%03d", i);
    OK(lp_put(db, key, 5, "x", 1, 0));
  }
  snapshot = leveldb_create_snapshot(db);
  leveldb_readoptions_set_snapshot(options, snapshot);
  for (i = 0; i < 300; i += 2) {
    snprintf(key, sizeof key, "i/%03d", i);
    OK(lp_delete(db, key, 5, 0));
  }
  iterator = leveldb_create_iterator(db, options);
  CHECK(!leveldb_iter_valid(iterator) && leveldb_iter_key(iterator, &length) == NULL && length == 0);
  leveldb_iter_next(iterator);
  CHECK(!leveldb_iter_valid(iterator));
  leveldb_iter_seek(iterator, "i/", 2);
  for (i = 0; i < 299; i++) {
    snprintf(key, sizeof key, "i/%03d", i);
    CHECK(memcmp(leveldb_iter_key(iterator, &length), key, 5) == 0 && length == 5);
    leveldb_iter_next(iterator);
    leveldb_iter_prev(iterator);
    CHECK(memcmp(leveldb_iter_key(iterator, &length), key, 5) == 0);
    leveldb_iter_next(iterator);
  }
  for (; i > 0; i--) {
    snprintf(key, sizeof key, "i/%03d", i);
    CHECK(memcmp(leveldb_iter_key(iterator, &length), key, 5) == 0);
    CHECK(*leveldb_iter_value(iterator, &length) == 'x' && length == 1);
    leveldb_iter_prev(iterator);
  }
  leveldb_iter_get_error(iterator, &error);
  CHECK(error == NULL);
  OK(lp_iter_error(iterator));
  leveldb_iter_destroy(iterator);
  leveldb_release_snapshot(db, snapshot);
  iterator = leveldb_create_iterator(db, options);
  leveldb_iter_seek_to_first(iterator);
  CHECK(!leveldb_iter_valid(iterator));
  FAILS(lp_iter_error(iterator), LP_INVALID_ARGUMENT);
  leveldb_iter_get_error(iterator, &error);
  CHECK(strcmp(error, "Invalid argument: the snapshot of the read options was released") == 0);
  leveldb_free(error);
  leveldb_iter_destroy(iterator);
  leveldb_readoptions_destroy(options);
}

/* ---- comparators, and who may lead ---- */

static int backwards(void* state, const char* a, size_t alen, const char* b, size_t blen) {
  int order = memcmp(b, a, alen < blen ? alen : blen);
  (void)state;
  return order != 0 ? order : (int)blen - (int)alen;
}

static const char* name(void* state) { return state; }

static void gone(void* state) { *(char*)state = 'g'; }

static leveldb_options_t* compared(leveldb_comparator_t* comparator) {
  leveldb_options_t* options = patient();
  leveldb_options_set_create_if_missing(options, 1);
  leveldb_options_set_comparator(options, comparator);
  return options;
}

static void check_comparators(const char* dir) {
  char state[] = "test.Backwards";
  leveldb_comparator_t* comparator = leveldb_comparator_create(state, gone, backwards, name);
  leveldb_options_t* options = compared(comparator);
  leveldb_t* db;
  leveldb_iterator_t* iterator;
  size_t length;
  OK(lp_open(options, dir, &db));
  OK(lp_put(db, "a", 1, "", 0, 0));
  OK(lp_put(db, "b", 1, "", 0, 0));
  iterator = leveldb_create_iterator(db, NULL);
  leveldb_iter_seek_to_first(iterator);
  CHECK(*leveldb_iter_key(iterator, &length) == 'b');
  leveldb_iter_seek(iterator, "az", 2);
  CHECK(*leveldb_iter_key(iterator, &length) == 'a');
  leveldb_iter_destroy(iterator);
  FAILS(lp_transaction(db, count_up, NULL), LP_INVALID_ARGUMENT);
  /* A member with another comparator is refused while this one is there, one with none too. */
  CHECK(ended(start(dir, "other", "")) == LP_INVALID_ARGUMENT);
  CHECK(ended(start(dir, "join", "")) == LP_INVALID_ARGUMENT);
  leveldb_comparator_destroy(comparator);
  CHECK(*state == 't'); /* it is still used */
  leveldb_close(db);
  CHECK(*state == 'g');
  FAILS(lp_open(options, dir, &db), LP_INVALID_ARGUMENT);
  leveldb_options_destroy(options);
  /* And where nobody is there. */
  CHECK(ended(start(dir, "other", "")) == LP_INVALID_ARGUMENT);
}

static void check_openings(const char* dir) {
  leveldb_options_t* options = patient();
  leveldb_t* db;
  char *error = NULL, expected[4096];
  CHECK(ended(start(dir, "join", "")) == LP_OK);
  lp_options_set_lead(options, LP_LEAD_JOIN);
  db = leveldb_open(options, "/nowhere/at all", &error);
  CHECK(db == NULL && lp_last_kind() == LP_NOT_FOUND);
  CHECK(strcmp(error, "Invalid argument: /nowhere/at all: does not exist (create_if_missing is false)") == 0);
  leveldb_options_set_error_if_exists(options, 1);
  db = leveldb_open(options, dir, &error); /* frees the old one */
  CHECK(db == NULL && lp_last_kind() == LP_ALREADY_EXISTS);
  snprintf(expected, sizeof expected, "Invalid argument: %s: exists (error_if_exists is true)", dir);
  CHECK(strcmp(error, expected) == 0);
  leveldb_free(error);
  leveldb_options_set_error_if_exists(options, 0);
  lp_options_set_reject_writes(options, 1);
  OK(lp_open(options, dir, &db));
  FAILS(lp_put(db, "a", 1, "", 0, 0), LP_READ_ONLY);
  leveldb_close(db);
  leveldb_options_destroy(options);
}

static void check_null(leveldb_t* db) {
  char* error = NULL;
  leveldb_put(NULL, NULL, "a", 1, "", 0, &error);
  CHECK(strcmp(error, "Invalid argument: the database is NULL") == 0);
  leveldb_write(db, NULL, NULL, &error);
  CHECK(strcmp(error, "Invalid argument: the batch is NULL") == 0);
  leveldb_free(error);
  leveldb_put(NULL, NULL, "a", 1, "", 0, NULL);
  FAILS(lp_open(NULL, "x", NULL), LP_INVALID_ARGUMENT);
  FAILS(lp_put(NULL, NULL, 0, NULL, 0, 0), LP_INVALID_ARGUMENT);
  leveldb_close(NULL);
  leveldb_iter_next(NULL);
  CHECK(!leveldb_iter_valid(NULL) && leveldb_property_value(NULL, NULL) == NULL);
  leveldb_options_destroy(NULL);
  lp_watch_destroy(NULL);
  lp_error_destroy(NULL);
  CHECK(lp_error_kind(NULL) == LP_OK && *lp_error_message(NULL) == '\0');
  OK(lp_put(db, NULL, 0, NULL, 0, 0)); /* the empty key, with the empty value */
}

static int child(const char* dir, const char* role, const char* argument) {
  leveldb_options_t* options = patient();
  leveldb_comparator_t* comparator = NULL;
  leveldb_t* db = NULL;
  lp_kind_t kind;
  int i;
  lp_error_t* error;
  char other[] = "test.Other";
  if (strcmp(role, "count") == 0) {
    db = opened(dir);
    for (i = atoi(argument); i > 0; i--) OK(lp_transaction(db, count_up, NULL));
    leveldb_close(db);
    leveldb_options_destroy(options);
    return 0;
  }
  if (strcmp(role, "other") == 0) {
    comparator = leveldb_comparator_create(other, NULL, backwards, name);
    leveldb_options_set_comparator(options, comparator);
  } else {
    lp_options_set_lead(options, LP_LEAD_JOIN);
  }
  error = lp_open(options, dir, &db);
  kind = lp_error_kind(error);
  lp_error_destroy(error);
  if (db != NULL) leveldb_close(db);
  if (comparator != NULL) leveldb_comparator_destroy(comparator);
  leveldb_options_destroy(options);
  return (int)kind;
}

int main(int argc, char** argv) {
  char dir[4096];
  leveldb_t* db;
  program = argv[0];
  if (argc >= 3) return child(argv[1], argv[2], argc > 3 ? argv[3] : "");
  if (argc != 2) return 2;
  db = opened(argv[1]);
  check_watch(db, argv[1]);
  check_watch_is_closed_by_another_thread(db);
  check_transactions(db);
  check_calls(db, argv[1]);
  check_iterators(db);
  check_null(db);
  check_openings(argv[1]);
  if (getenv("PARTY_SMALL") == NULL) check_large_batch(db);
  leveldb_close(db);
  CHECK(ended(start(argv[1], "join", "")) == LP_NO_LEADER);
  snprintf(dir, sizeof dir, "%s.compared", argv[1]);
  check_comparators(dir);
  puts("passed");
  return 0;
}
