// Find the most similar cells of earlier frames within a window, exactly.
//
// A plain C interface without any library: `native_search.py` loads it by
// ctypes, checks what it passes, and says what the fields mean. The search
// itself is in `windowed_topk_simd.h`, compiled here once for each set of
// vector instructions; which one runs is chosen when it is called.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// One search. All arrays are contiguous; a row is the numbers of one cell:
// its `channels` features, then (where `screen` > 0) `screen` numbers whose
// product with those of another row is at least the product of the features.
struct Search {
  const float *keys;           // (height, width, slots, row)
  const float *queries;        // (height, width, row)
  const int64_t *half_widths;  // (reach + 1): columns to either side that are
                               // in the window, per distance in rows
  const int64_t *seeds;        // (height * width, seed_count)
  const float *floors;         // (height * width): scores up to it don't count
  float *scores;               // (height * width, topk), out
  int64_t *cells;              // (height * width, topk), out
  int64_t height, width, slots, row, channels, screen;
  int64_t start, stop;  // slots that are searched
  int64_t newest;       // a slot whose near cells are good guesses, or -1
  int64_t reach, topk, seed_count, threads, level;
  double slack;  // most that a screening product is below the features'
};

namespace {

// Query cells of one thread: rows and columns of the grid.
struct Part {
  int64_t top, bottom, left, right;
};

// Keys that are compared at a time, one vector lane each.
constexpr int PANEL = 64;

// What a thread works in, allocated before it starts.
struct Scratch {
  std::unique_ptr<float, decltype(&std::free)> panel{nullptr, &std::free};
  std::vector<int64_t> queries;
  std::vector<float> guesses;
};

bool in_window(const Search &s, int64_t rows, int64_t columns) {
  rows = std::abs(rows);
  return rows <= s.reach && std::abs(columns) <= s.half_widths[rows];
}

// Replace the smallest of a query's matches, which is kept first: the scores
// are a heap, each not above the two that follow it.
void replace_smallest(float *scores, int64_t *cells, int64_t count,
                      float score, int64_t cell) {
  int64_t hole = 0;
  for (int64_t next = 1; next < count; next = 2 * hole + 1) {
    if (next + 1 < count && scores[next + 1] < scores[next]) ++next;
    if (!(scores[next] < score)) break;
    scores[hole] = scores[next];
    cells[hole] = cells[next];
    hole = next;
  }
  scores[hole] = score;
  cells[hole] = cell;
}

}  // namespace

// Lanes of a vector, and vectors next to each other in registers.
#define LANES 4
#define VECTORS 2
namespace portable {
#include "windowed_topk_simd.h"
}
#undef LANES
#undef VECTORS

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define LANES 8
#define VECTORS 2
namespace avx2 {
#include "windowed_topk_simd.h"
}
#undef LANES
#undef VECTORS
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#define LANES 16
#define VECTORS 4
namespace avx512 {
#include "windowed_topk_simd.h"
}
#undef LANES
#undef VECTORS
#pragma GCC pop_options
#endif

namespace {

using Run = void (*)(const Search &, const Part &, Scratch &);

Run choose(int64_t level) {
#if defined(__x86_64__)
  if (level == 2) return avx512::run;
  if (level == 1) return avx2::run;
#endif
  return portable::run;
}

// Share of `count` that begins with the i-th of `parts`.
int64_t edge(int64_t count, int64_t i, int64_t parts) {
  return count * i / parts;
}

std::vector<Part> divide(const Search &s) {
  const bool by_rows = s.height > 1;
  const int64_t count = by_rows ? s.height : s.width;
  const int64_t parts = std::max<int64_t>(1, std::min(s.threads, count));
  std::vector<Part> found;
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t low = edge(count, i, parts), high = edge(count, i + 1, parts);
    found.push_back(by_rows ? Part{low, high, 0, s.width}
                            : Part{0, 1, low, high});
  }
  return found;
}

Scratch make_scratch(const Search &s, const Part &part) {
  const size_t depth = s.screen ? s.screen : s.channels;
  Scratch found;
  found.panel.reset(static_cast<float *>(
      std::aligned_alloc(64, sizeof(float) * PANEL * depth)));
  if (!found.panel) throw std::bad_alloc();
  found.queries.resize((part.bottom - part.top) * (part.right - part.left));
  found.guesses.resize(s.seed_count + 9);
  return found;
}

void search(const Search &s) {
  const Run run = choose(s.level);
  const std::vector<Part> parts = divide(s);
  std::vector<Scratch> scratch;
  for (const Part &part : parts) scratch.push_back(make_scratch(s, part));
  std::vector<std::thread> threads;
  threads.reserve(parts.size());
  for (size_t i = 1; i < parts.size(); ++i) {
    try {
      threads.emplace_back(run, std::cref(s), std::cref(parts[i]),
                           std::ref(scratch[i]));
    } catch (const std::exception &) {  // no more threads to be had
      run(s, parts[i], scratch[i]);
    }
  }
  run(s, parts[0], scratch[0]);
  for (std::thread &thread : threads) thread.join();
}

}  // namespace

#define EXPORT __attribute__((visibility("default")))

extern "C" {

// Of the fields of `Search`.
EXPORT int64_t windowed_topk_interface() { return 1000 + sizeof(Search); }

// A checksum of the sources, by setup.py.
#if !defined(SOURCES)
#define SOURCES 0
#endif
EXPORT int64_t windowed_topk_sources() { return SOURCES; }

// The best level that this processor runs: 0 portable, 1 AVX2, 2 AVX-512.
EXPORT int64_t windowed_topk_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

// Returns 0, or 1 where memory ran out.
EXPORT int64_t windowed_topk(const Search *s) {
  try {
    search(*s);
    return 0;
  } catch (const std::exception &) {
    return 1;
  }
}
}
