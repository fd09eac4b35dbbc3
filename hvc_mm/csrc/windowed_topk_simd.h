// The search, in vectors of LANES floats; included by `windowed_topk.cpp` in
// a namespace for each set of instructions, so it has no guard.
//
// Keys are taken a panel at a time: PANEL rows next to each other in memory
// (all searched slots of a cell, then those of the cell to its right),
// transposed so that a vector holds one channel of LANES keys. Every query
// with one of these keys in its window is compared with the whole panel. A
// product that may belong to one of the query's best is computed again, from
// all channels and always in the same way, and that score decides.

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef float Unaligned
    __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

// Queries that are compared with a panel at a time: with VECTORS vectors of
// products for each, the registers are full.
constexpr int GROUP = 6;
constexpr int STEP = LANES * VECTORS;

// Key rows of a panel: of lane j, cell `column[j]` of the key row and `slot`.
struct Lanes {
  int count;
  int64_t row;
  int64_t column[PANEL], slot[PANEL];
};

static inline Vector load(const float *from) {
  return *reinterpret_cast<const Unaligned *>(from);
}

static inline const float *key_row(const Search &s, int64_t cell,
                                   int64_t slot) {
  return s.keys + (cell * s.slots + slot) * s.row;
}

static inline float add_lanes(Vector values) {
  float sums[LANES];
  *reinterpret_cast<Unaligned *>(sums) = values;
  for (int half = LANES / 2; half; half /= 2)
    for (int j = 0; j < half; ++j) sums[j] += sums[j + half];
  return sums[0];
}

// Not inlined: one sequence of operations, so one result, for all callers.
__attribute__((noinline)) static float dot(const float *a, const float *b,
                                           int64_t count) {
  Vector sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * LANES <= count; i += 4 * LANES)
    for (int j = 0; j < 4; ++j)
      sums[j] += load(a + i + j * LANES) * load(b + i + j * LANES);
  float total = add_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < count; ++i) total += a[i] * b[i];
  return total;
}

// Bit j is set where lane j is above the limit.
static inline uint64_t above(Vector values, float limit) {
#if LANES == 16
  return _mm512_cmp_ps_mask(values, _mm512_set1_ps(limit), _CMP_GT_OQ);
#elif LANES == 8
  return _mm256_movemask_ps(
      _mm256_cmp_ps(values, _mm256_set1_ps(limit), _CMP_GT_OQ));
#else
  uint64_t found = 0;
  for (int j = 0; j < LANES; ++j)
    found |= static_cast<uint64_t>(values[j] > limit) << j;
  return found;
#endif
}

// Products of GROUP queries with STEP keys of a panel; per query, which of
// them are above its limit.
static inline void compare(const float *panel, const float *const *queries,
                           int64_t depth, const float *limits,
                           uint64_t *found) {
  Vector sums[GROUP][VECTORS] = {};
  for (int64_t d = 0; d < depth; ++d, panel += PANEL) {
    Vector keys[VECTORS];
    for (int j = 0; j < VECTORS; ++j)
      keys[j] = *reinterpret_cast<const Vector *>(panel + j * LANES);
    for (int i = 0; i < GROUP; ++i) {
      const float query = queries[i][d];
      for (int j = 0; j < VECTORS; ++j) sums[i][j] += query * keys[j];
    }
  }
  for (int i = 0; i < GROUP; ++i) {
    found[i] = 0;
    for (int j = 0; j < VECTORS; ++j)
      found[i] |= above(sums[i][j], limits[i]) << (j * LANES);
  }
}

// Fill a panel from the keys of a row's cells, from its n-th key on.
static void fill_panel(const Search &s, int64_t row, int64_t first,
                       float *panel, Lanes &lanes) {
  const int64_t frames = s.stop - s.start;
  const int64_t depth = s.screen ? s.screen : s.channels;
  const float *rows[PANEL];
  lanes.row = row;
  lanes.count =
      static_cast<int>(std::min<int64_t>(PANEL, s.width * frames - first));
  for (int j = 0; j < PANEL; ++j) {
    const int64_t n = first + std::min(j, lanes.count - 1);
    lanes.column[j] = n / frames;
    lanes.slot[j] = s.start + n % frames;
    rows[j] = key_row(s, row * s.width + lanes.column[j], lanes.slot[j]) +
              (s.screen ? s.channels : 0);
  }
  constexpr int64_t BLOCK = 16;  // a cache line of a key
  for (int64_t d = 0; d < depth; d += BLOCK) {
    const int64_t stop = std::min(depth, d + BLOCK);
    for (int j = 0; j < PANEL; ++j)
      for (int64_t i = d; i < stop; ++i) panel[i * PANEL + j] = rows[j][i];
  }
}

// List the part's queries with a key of the panel in their window.
static int64_t list_queries(const Search &s, const Part &part,
                            const Lanes &lanes, int64_t *queries) {
  const int64_t first = lanes.column[0], last = lanes.column[lanes.count - 1];
  const int64_t bottom = std::min(part.bottom, lanes.row + s.reach + 1);
  int64_t count = 0;
  for (int64_t y = std::max(part.top, lanes.row - s.reach); y < bottom; ++y) {
    const int64_t half = s.half_widths[std::abs(y - lanes.row)];
    const int64_t right = std::min(part.right, last + half + 1);
    for (int64_t x = std::max(part.left, first - half); x < right; ++x)
      queries[count++] = y * s.width + x;
  }
  return count;
}

// Score the keys whose bit is set in full; the best ones stay.
static void score_again(const Search &s, const Lanes &lanes, int64_t query,
                        uint64_t found) {
  float *scores = s.scores + query * s.topk;
  int64_t *cells = s.cells + query * s.topk;
  const int64_t y = query / s.width, x = query % s.width;
  for (; found; found &= found - 1) {
    const int j = __builtin_ctzll(found);
    if (!in_window(s, y - lanes.row, x - lanes.column[j])) continue;
    const int64_t cell = lanes.row * s.width + lanes.column[j];
    const float score = dot(key_row(s, cell, lanes.slot[j]),
                            s.queries + query * s.row, s.channels);
    if (score > scores[0])
      replace_smallest(scores, cells, s.topk, score,
                       lanes.slot[j] * s.height * s.width + cell);
  }
}

// Compare a panel with all queries of a list.
static void search_panel(const Search &s, const float *panel,
                         const Lanes &lanes, const int64_t *list,
                         int64_t count) {
  const int64_t depth = s.screen ? s.screen : s.channels;
  const uint64_t live =
      lanes.count < 64 ? (uint64_t{1} << lanes.count) - 1 : ~uint64_t{0};
  for (int64_t n = 0; n < count; n += GROUP) {
    const int members = static_cast<int>(std::min<int64_t>(GROUP, count - n));
    const float *queries[GROUP];
    float limits[GROUP];
    for (int i = 0; i < GROUP; ++i) {
      const int64_t query = list[n + std::min(i, members - 1)];
      queries[i] = s.queries + query * s.row + (s.screen ? s.channels : 0);
      limits[i] = s.scores[query * s.topk] - static_cast<float>(s.slack);
    }
    for (int first = 0; first < lanes.count; first += STEP) {
      uint64_t found[GROUP];
      compare(panel + first, queries, depth, limits, found);
      for (int i = 0; i < members; ++i) {
        found[i] = (found[i] << first) & live;
        if (found[i]) score_again(s, lanes, list[n + i], found[i]);
      }
    }
  }
}

// Bound the k-th best score of a query from below: any k cells do. Guesses
// are the seeds and the cells around the query in the newest frame.
static float guess_limit(const Search &s, int64_t query,
                         std::vector<float> &guesses) {
  const int64_t area = s.height * s.width;
  const int64_t y = query / s.width, x = query % s.width;
  const float *row = s.queries + query * s.row;
  const bool near = s.newest >= s.start && s.newest < s.stop;
  int64_t count = 0;
  for (int64_t i = 0; i < s.seed_count; ++i) {
    const int64_t seed = s.seeds[query * s.seed_count + i];
    if (seed < 0 || seed >= s.slots * area) continue;
    const int64_t slot = seed / area, cell = seed % area;
    if (slot < s.start || slot >= s.stop || (near && slot == s.newest))
      continue;
    if (!in_window(s, cell / s.width - y, cell % s.width - x)) continue;
    guesses[count++] = dot(key_row(s, cell, slot), row, s.channels);
  }
  for (int64_t i = 0; near && i < 9; ++i) {
    const int64_t v = y + i / 3 - 1, u = x + i % 3 - 1;
    if (v < 0 || v >= s.height || u < 0 || u >= s.width) continue;
    if (!in_window(s, v - y, u - x)) continue;
    guesses[count++] = dot(key_row(s, v * s.width + u, s.newest), row,
                           s.channels);
  }
  const float lowest = -std::numeric_limits<float>::infinity();
  // What is not a number has no order.
  for (int64_t i = 0; i < count; ++i)
    if (!(guesses[i] > lowest)) return lowest;
  if (count < s.topk) return lowest;
  const auto kth = guesses.begin() + (s.topk - 1);
  std::nth_element(guesses.begin(), kth, guesses.begin() + count,
                   std::greater<float>());
  // A little less, so that the k cells themselves are above it; where
  // denormals count as zero, too.
  return std::min(std::nextafter(*kth, lowest),
                  *kth - std::numeric_limits<float>::min());
}

static void run(const Search &s, const Part &part, Scratch &scratch) {
  for (int64_t y = part.top; y < part.bottom; ++y)
    for (int64_t x = part.left; x < part.right; ++x) {
      const int64_t query = y * s.width + x;
      const float limit =
          std::max(s.floors[query], guess_limit(s, query, scratch.guesses));
      std::fill_n(s.scores + query * s.topk, s.topk, limit);
      std::fill_n(s.cells + query * s.topk, s.topk, int64_t{-1});
    }
  const int64_t bottom = std::min(s.height, part.bottom + s.reach);
  const int64_t frames = s.stop - s.start;
  for (int64_t row = std::max<int64_t>(0, part.top - s.reach); row < bottom;
       ++row)
    for (int64_t first = 0; first < s.width * frames; first += PANEL) {
      Lanes lanes;
      fill_panel(s, row, first, scratch.panel.get(), lanes);
      const int64_t count =
          list_queries(s, part, lanes, scratch.queries.data());
      search_panel(s, scratch.panel.get(), lanes, scratch.queries.data(),
                   count);
    }
}
