// Drives the verilated gateware for many clocks per call. Compiled with CHANNELS and SAMPLES by twin_build.py.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "Vtwin.h"
#include "verilated.h"

#pragma GCC visibility push(default)
extern "C" {
#include "harness.h"
}
#pragma GCC visibility pop

namespace {

constexpr uint8_t REFERENCE = 255;  // the first of the inputs that are no detector; they count down
constexpr int REFERENCE_SLOT = 16, PPS_SLOT = 17, SLOTS = 19;
constexpr uint64_t NEVER = UINT64_MAX;
constexpr int OUTPUTS = 4;
constexpr uint16_t FULL = (1 << SAMPLES) - 1;  // an output of feed-forward that is high throughout a clock
constexpr uint64_t LONGEST_SKIP = UINT32_MAX;

// Pin levels of one clock; bit c * SAMPLES + s is channel c at subtick s.
struct Levels {
    uint64_t samples = 0;
    uint32_t others[SLOTS - REFERENCE_SLOT] = {};  // reference, PPS, 10 MHz
    bool quiet() const { return samples == 0 && (others[0] | others[1] | others[2]) == 0; }
};

}  // namespace

struct twin {
    VerilatedContext context;
    Vtwin top{&context};
    twin_options options;
    twin_state state{};
    uint64_t last_edge[SLOTS];
    uint64_t next_up = 0, next_down = 0;  // first clock at which the link takes the next byte
    std::deque<twin_stall> stalls;
    std::vector<twin_pulse> pulses;
    uint8_t triggers = 0;  // as they were when last kept
    uint16_t held_actions = 0;

    explicit twin(const twin_options &chosen) : options(chosen) {
        std::fill(std::begin(last_edge), std::end(last_edge), NEVER - 1);
        top.clk = 0;
        top.samples = 0;
        top.references = 0;
        top.pps = 0;
        top.ten_mhz = 0;
        top.skip = 0;
        top.up_ready = 0;
        top.down_valid = 0;
        top.down_payload = 0;
        top.eval();
        state.idle = top.idle && !top.up_valid;
    }

    ~twin() { top.final(); }

    Levels levels(twin_work &work) {
        Levels pins;
        const uint64_t end = (state.now + 1) * SAMPLES;
        while (work.clicks_taken < work.click_count && work.clicks[work.clicks_taken].tick < end) {
            const twin_click &click = work.clicks[work.clicks_taken++];
            const int slot = click.channel < REFERENCE_SLOT ? click.channel : REFERENCE_SLOT + REFERENCE - click.channel;
            const uint64_t subtick = click.tick % SAMPLES;
            if (click.tick - last_edge[slot] <= 1) {  // the pin is high already, or was a tick ago
                state.unresolved[slot]++;
                continue;
            }
            last_edge[slot] = click.tick;
            if (slot >= REFERENCE_SLOT)
                pins.others[slot - REFERENCE_SLOT] |= 1u << subtick;
            else
                pins.samples |= 1ull << (slot * SAMPLES + subtick);
        }
        return pins;
    }

    bool stalled() {
        while (!stalls.empty() && stalls.front().end <= state.now) stalls.pop_front();
        return !stalls.empty() && stalls.front().begin <= state.now;
    }

    // Clocks that may be left out after this one, when nothing comes in and nothing moves.
    uint64_t skippable(const twin_work &work) const {
        uint64_t next = work.until;
        if (work.clicks_taken < work.click_count)
            next = std::min<uint64_t>(next, work.clicks[work.clicks_taken].tick / SAMPLES);
        if (work.requests_taken < work.request_count) next = std::min(next, next_down);
        const uint64_t gap = next > state.now ? next - state.now - 1 : 0;
        return std::min({gap, uint64_t(top.deadline), LONGEST_SKIP});
    }

    // Keep what is at the outputs, unless it follows from what was kept last.
    void capture() {
        const bool changed = top.triggers != triggers || top.actions != held_actions;
        if (!top.heralds && !changed) return;
        triggers = uint8_t(top.triggers);
        pulses.push_back({state.now, uint8_t(top.heralds), triggers, uint16_t(top.actions), {}});
        held_actions = 0;
        for (int output = 0; output < OUTPUTS; output++)  // as they are at the clock's last subtick, to the end
            if (top.actions >> (output * SAMPLES + SAMPLES - 1) & 1) held_actions |= FULL << (output * SAMPLES);
    }

    void clock(uint64_t skip) {
        top.skip = uint32_t(skip);
        top.clk = !top.clk;  // every toggle is a clock, see twin_build.every_edge
        top.eval();
        state.now += 1 + skip;
        state.evaluated++;
        if (options.capture) capture();
        state.idle = top.idle && !top.up_valid;
    }

    twin_end run(twin_work &work) {
        work.clicks_taken = work.requests_taken = work.bytes_given = 0;
        for (uint64_t left = work.evaluations; state.now < work.until; left--) {
            if (left == 0) return TWIN_EVALUATED;
            if (work.until_answered && state.idle && work.bytes_given && work.requests_taken == work.request_count)
                return TWIN_ANSWERED;

            const bool takes = top.up_valid && state.now >= next_up && !stalled();
            if (takes && work.bytes_given == work.byte_capacity) return TWIN_FULL;
            if (work.clicks_taken < work.click_count && work.clicks[work.clicks_taken].tick / SAMPLES < state.now)
                return TWIN_CLICK_TOO_LATE;

            const Levels pins = levels(work);
            top.samples = pins.samples;
            top.references = pins.others[0];
            top.pps = pins.others[PPS_SLOT - REFERENCE_SLOT];
            top.ten_mhz = pins.others[PPS_SLOT + 1 - REFERENCE_SLOT];
            top.up_ready = takes;
            if (takes) {
                work.bytes[work.bytes_given++] = top.up_payload;
                next_up = state.now + options.clocks_per_byte;
            }
            const bool offers = work.requests_taken < work.request_count && state.now >= next_down;
            top.down_valid = offers;
            if (offers) {
                top.down_payload = work.requests[work.requests_taken];
                top.eval();  // `ready` may depend on what is offered
                if (top.down_ready) {
                    work.requests_taken++;
                    next_down = state.now + options.clocks_per_byte;
                }
            }
            const bool quiet = options.skipping && state.idle && !offers && pins.quiet();
            clock(quiet ? skippable(work) : 0);
        }
        return TWIN_REACHED;
    }
};

extern "C" {

twin *twin_new(const twin_options *options) { return new twin(*options); }

void twin_delete(twin *self) { delete self; }

const twin_state *twin_look(const twin *self) { return &self->state; }

void twin_set_stalls(twin *self, const twin_stall *stalls, size_t count) {
    self->stalls.assign(stalls, stalls + count);
}

size_t twin_take_pulses(twin *self, twin_pulse *into, size_t capacity) {
    const size_t count = std::min(capacity, self->pulses.size());
    std::copy_n(self->pulses.begin(), count, into);
    self->pulses.erase(self->pulses.begin(), self->pulses.begin() + std::ptrdiff_t(count));
    return count;
}

twin_end twin_run(twin *self, twin_work *work) { return self->run(*work); }

}
