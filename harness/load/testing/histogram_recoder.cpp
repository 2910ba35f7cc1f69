// histogram_recoder: reads histograms in their text form, one per line, and writes for each what
// this project makes of it as a line of JSON: count, quantiles, and the histogram coded anew.
// "null" for text that it refuses. For tests against other implementations.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "harness/load/histogram.hpp"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto histogram = spawnpool::load::Histogram::decode(line);
    nlohmann::ordered_json told;
    if (histogram) {
      told["count"] = histogram->count();
      told["coded"] = histogram->encode();
      if (histogram->count() > 0) {
        told["min"] = histogram->min();
        told["max"] = histogram->max();
        told["mean"] = histogram->mean();
        for (const double share : {0.0, 0.001, 0.07, 0.5, 0.9, 0.99, 0.999, 0.99999, 1.0}) {
          told["quantiles"].push_back(histogram->value_at_quantile(share));
        }
      }
    }
    std::cout << told.dump() << '\n';
  }
}
