// Search random shapes by the kernel, for sanitizers to watch; prints how
// many. Every array is exactly as long as it is said to be.

#include "windowed_topk.cpp"

#include <cstdio>
#include <random>

static std::mt19937 generator(0);

static int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(generator);
}

static std::vector<float> noise(int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> found(count);
  for (float &value : found) value = normal(generator);
  return found;
}

static bool search_once() {
  Search s{};
  s.height = pick(1, 9), s.width = pick(1, 90), s.slots = pick(1, 9);
  s.channels = pick(1, 80), s.screen = pick(0, 1) * pick(1, 40);
  s.row = s.channels + s.screen;
  s.start = pick(0, s.slots), s.stop = pick(s.start, s.slots);
  s.newest = pick(-1, s.slots - 1);
  s.reach = pick(0, s.height + 2), s.topk = pick(1, 40);
  s.seed_count = pick(0, 20), s.threads = pick(1, 5);
  s.level = pick(0, windowed_topk_level());
  s.slack = 1e-4;
  const int64_t area = s.height * s.width;
  const std::vector<float> keys = noise(area * s.slots * s.row);
  const std::vector<float> queries = noise(area * s.row);
  std::vector<int64_t> half_widths(s.reach + 1);
  for (int64_t &half : half_widths) half = pick(-1, s.width + 3);
  std::vector<int64_t> seeds(area * s.seed_count);
  for (int64_t &seed : seeds) seed = pick(-3, area * s.slots + 3);
  const std::vector<float> floors(area, pick(0, 1) ? 0.5f : -1e9f);
  std::vector<float> scores(area * s.topk);
  std::vector<int64_t> cells(area * s.topk);
  s.keys = keys.data(), s.queries = queries.data();
  s.half_widths = half_widths.data(), s.seeds = seeds.data();
  s.floors = floors.data();
  s.scores = scores.data(), s.cells = cells.data();
  if (windowed_topk(&s)) return false;
  for (int64_t cell : cells)
    if (cell < -1 || cell >= area * s.slots) return false;
  return true;
}

int main(int, char **arguments) {
  const int count = std::atoi(arguments[1]);
  for (int i = 0; i < count; ++i)
    if (!search_once()) return 1;
  std::printf("%d searches\n", count);
}
