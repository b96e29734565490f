// Drives the verilated gateware for many clocks per call. Compiled with CHANNELS and SAMPLES by twin_build.py.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
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
constexpr int LINES = 3;               // between two twins, each way

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
        top.sync_in = 0;
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

    bool takes() { return top.up_valid && state.now >= next_up && !stalled(); }

    // Why the coming clock cannot be worked on, or TWIN_REACHED.
    twin_end obstacle(const twin_work &work) {
        if (takes() && work.bytes_given == work.byte_capacity) return TWIN_FULL;
        if (work.clicks_taken < work.click_count && work.clicks[work.clicks_taken].tick / SAMPLES < state.now)
            return TWIN_CLICK_TOO_LATE;
        return TWIN_REACHED;
    }

    // Set the inputs of the coming clock. Returns whether nothing comes in and nothing moves.
    bool drive(twin_work &work) {
        const Levels pins = levels(work);
        top.samples = pins.samples;
        top.references = pins.others[0];
        top.pps = pins.others[PPS_SLOT - REFERENCE_SLOT];
        top.ten_mhz = pins.others[PPS_SLOT + 1 - REFERENCE_SLOT];
        top.up_ready = takes();
        if (top.up_ready) {
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
        return options.skipping && state.idle && !offers && pins.quiet();
    }

    twin_end run(twin_work &work) {
        for (uint64_t left = work.evaluations; state.now < work.until; left--) {
            if (left == 0) return TWIN_EVALUATED;
            if (work.until_answered && state.idle && work.bytes_given && work.requests_taken == work.request_count)
                return TWIN_ANSWERED;
            if (const twin_end reason = obstacle(work)) return reason;
            const bool quiet = drive(work);
            clock(quiet ? skippable(work) : 0);
        }
        return TWIN_REACHED;
    }
};

namespace {

// One line of a cable, and what goes wrong on it.
struct Wire {
    std::deque<twin_fault> faults;  // of messages to come
    uint64_t heard = 0;
    uint32_t place = 0;     // clocks since the message began; 0: none is under way
    uint32_t waits = 0;     // clocks until what comes again begins
    std::deque<bool> again; // what is to come again
    std::vector<twin_fault> at_work;

    bool calm() const { return place == 0 && again.empty(); }

    bool pass(bool level, uint32_t message_clocks, uint32_t between) {
        if (place == 0 && level) begin();
        bool out = level;
        if (place != 0) {
            const uint32_t clock = place - 1;
            for (const twin_fault &fault : at_work) {
                if (clock < fault.first || clock >= fault.last) continue;
                if (fault.kind == TWIN_LOW) out = false;
                if (fault.kind == TWIN_INVERTED) out = !out;
                if (fault.kind == TWIN_AGAIN) again.push_back(level);
            }
            waits = between;
            place = place == message_clocks ? 0 : place + 1;
        } else if (!again.empty() && waits != 0) {
            waits--;
        } else if (!again.empty()) {
            out |= again.front();
            again.pop_front();
        }
        return out;
    }

  private:
    void begin() {
        place = 1;
        at_work.clear();
        const auto ours = [this](const twin_fault &fault) { return fault.message == heard; };
        std::copy_if(faults.begin(), faults.end(), std::back_inserter(at_work), ours);
        faults.erase(std::remove_if(faults.begin(), faults.end(), ours), faults.end());
        heard++;
    }
};

}  // namespace

struct cable {
    uint32_t message_clocks, between;
    Wire wires[2][LINES];  // by the end that hears

    bool calm() const {
        for (const auto &end : wires)
            for (const Wire &wire : end)
                if (!wire.calm()) return false;
        return true;
    }

    // Let one end hear what the other one says. Returns whether it hears what it has heard.
    bool carry(int end, const twin &from, twin &to) {
        uint8_t levels = 0;
        for (int line = 0; line < LINES; line++)
            if (wires[end][line].pass(from.top.sync_out >> line & 1, message_clocks, between)) levels |= uint8_t(1 << line);
        const bool same = to.top.sync_in == levels;
        to.top.sync_in = levels;
        return same;
    }

    twin_end run(twin *twins[2], twin_work *works, int asked) {
        const twin_work &wanted = works[asked];
        for (uint64_t left = wanted.evaluations;; left--) {
            for (int end = 0; end < 2; end++)
                if (twins[end]->state.now >= works[end].until) return TWIN_REACHED;
            if (left == 0) return TWIN_EVALUATED;
            if (wanted.until_answered && wanted.bytes_given && !twins[asked]->top.up_valid &&
                wanted.requests_taken == wanted.request_count)
                return TWIN_ANSWERED;
            for (int end = 0; end < 2; end++)
                if (const twin_end reason = twins[end]->obstacle(works[end])) return reason;
            bool quiet = carry(0, *twins[1], *twins[0]) & carry(1, *twins[0], *twins[1]) & calm();
            for (int end = 0; end < 2; end++) quiet &= twins[end]->drive(works[end]);
            const uint64_t skip =
                quiet ? std::min(twins[0]->skippable(works[0]), twins[1]->skippable(works[1])) : 0;
            for (int end = 0; end < 2; end++) twins[end]->clock(skip);
        }
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

cable *cable_new(uint32_t message_clocks, uint32_t between) { return new cable{message_clocks, between, {}}; }

void cable_delete(cable *self) { delete self; }

uint64_t cable_heard(const cable *self, uint8_t end, uint8_t line) { return self->wires[end][line].heard; }

void cable_add_fault(cable *self, const twin_fault *fault) {
    self->wires[fault->end][fault->line].faults.push_back(*fault);
}

twin_end cable_run(cable *self, twin *left, twin *right, twin_work *works, int asked) {
    twin *twins[2] = {left, right};
    return self->run(twins, works, asked);
}

}
