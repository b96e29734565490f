#include "decode.h"

#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the event arrays are little-endian: this decoder needs a little-endian host"
#endif

uint32_t ql_crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = ~0u;

    for (; size >= 8; size -= 8, data += 8) { /* slicing by eight */
        uint32_t low = (uint32_t)ql_load(data, 4) ^ crc, high = (uint32_t)ql_load(data + 4, 4);
        crc = ql_crc_table[7][low & 255] ^ ql_crc_table[6][low >> 8 & 255] ^ ql_crc_table[5][low >> 16 & 255] ^
              ql_crc_table[4][low >> 24] ^ ql_crc_table[3][high & 255] ^ ql_crc_table[2][high >> 8 & 255] ^
              ql_crc_table[1][high >> 16 & 255] ^ ql_crc_table[0][high >> 24];
    }
    while (size--)
        crc = ql_crc_table[0][(crc ^ *data++) & 255] ^ crc >> 8;
    return ~crc;
}

/* Decode the clicks that `in` begins with; returns how many there are, at most `words`. */
static size_t take_clicks(const uint8_t *in, size_t words, uint64_t base, uint32_t epoch, ql_click *out)
{
    const uint32_t offset_mask = (1u << QL_OFFSET_BITS) - 1;
    const uint32_t no_click = ~((uint32_t)QL_MAX_CHANNELS - 1) << QL_OFFSET_BITS; /* channels are a power of two */
    size_t n = 0;

    for (; n + 4 <= words; n += 4, in += 16) {
        uint32_t w[4], any = 0;
        for (size_t i = 0; i < 4; i++)
            any |= w[i] = (uint32_t)ql_load(in + 4 * i, 4);
        if (any & no_click)
            break;
        for (size_t i = 0; i < 4; i++)
            out[n + i] = (ql_click){base | (w[i] & offset_mask), w[i] >> QL_OFFSET_BITS, epoch};
    }
    for (; n < words; n++, in += 4) {
        uint32_t w = (uint32_t)ql_load(in, 4);
        if (w & no_click)
            break;
        out[n] = (ql_click){base | (w & offset_mask), w >> QL_OFFSET_BITS, epoch};
    }
    return n;
}

/* The number that is nearest to the last herald's and ends in these 32 bits. */
static uint64_t unwrap(ql_decoder *d, uint32_t sequence)
{
    d->herald = d->heralded ? d->herald + (uint64_t)(int64_t)(int32_t)(sequence - (uint32_t)d->herald) : sequence;
    d->heralded = 1;
    return d->herald;
}

static void take_herald(ql_decoder *d, const uint8_t *body, uint64_t tick, ql_herald *out)
{
    *out = (ql_herald){
        .tick = tick,
        .attempt = QL_HERALD_ATTEMPT(body),
        .sequence = unwrap(d, (uint32_t)QL_HERALD_SEQUENCE(body)),
        .position = (uint32_t)QL_HERALD_POSITION(body),
        .channels = (uint16_t)QL_HERALD_CHANNELS(body),
        .flags = (uint16_t)QL_HERALD_FLAGS(body),
        .pattern = (uint8_t)QL_HERALD_PATTERN(body),
        .outcome = (uint8_t)QL_HERALD_OUTCOME(body),
        .epoch = d->epoch,
    };
    for (int i = 0; i < QL_MAX_CHANNELS; i++)
        out->ages[i] = (uint16_t)QL_HERALD_AGES(body, i);
}

static size_t record_words(uint32_t kind)
{
    switch (kind) {
    case QL_KIND_HERALD:
        return QL_HERALD_WORDS;
    case QL_KIND_COUNTER:
        return QL_COUNTER_WORDS;
    case QL_KIND_LOSS:
        return QL_LOSS_WORDS;
    case QL_KIND_REPLY:
        return QL_REPLY_WORDS;
    case QL_KIND_TIME:
        return QL_TIME_WORDS;
    default:
        return 0;
    }
}

/* Decode one record that is no click. Returns its words, or 0 with *error set. */
static size_t take_record(ql_decoder *d, const uint8_t *in, size_t words, uint64_t base, ql_events *out, int *error)
{
    const uint32_t head = (uint32_t)ql_load(in, 4), kind = head >> QL_OFFSET_BITS;
    const uint64_t tick = base | (head & ((1u << QL_OFFSET_BITS) - 1));
    const uint8_t *body = in + 4;
    const size_t size = record_words(kind);

    if (size == 0 || size > words) {
        *error = size ? QL_E_RECORD_OVERRUN : QL_E_UNKNOWN_KIND;
        return 0;
    }
    switch (kind) {
    case QL_KIND_HERALD:
        take_herald(d, body, tick, &out->heralds[out->heralds_count++]);
        break;
    case QL_KIND_COUNTER:
        out->counters[out->counters_count++] = (ql_counter){
            .tick = tick,
            .value = QL_COUNTER_VALUE(body),
            .snapshot = (uint16_t)QL_COUNTER_SNAPSHOT(body),
            .index = (uint16_t)QL_COUNTER_INDEX(body),
            .epoch = d->epoch,
        };
        break;
    case QL_KIND_LOSS:
        out->losses[out->losses_count++] = (ql_loss){
            .begin = QL_LOSS_BEGIN(body),
            .end = tick,
            .count = QL_LOSS_COUNT(body),
            .source = (uint16_t)QL_LOSS_SOURCE(body),
            .epoch = d->epoch,
        };
        break;
    case QL_KIND_TIME:
        out->times[out->times_count++] = (ql_time){
            .tick = tick,
            .edges = QL_TIME_EDGES(body),
            .number = (uint32_t)QL_TIME_NUMBER(body),
            .epoch = d->epoch,
            .source = (uint8_t)QL_TIME_SOURCE(body),
        };
        break;
    default:
        out->replies[out->replies_count++] = (ql_reply){
            .tick = tick,
            .value = (uint32_t)QL_REPLY_VALUE(body),
            .address = (uint16_t)QL_REPLY_ADDRESS(body),
            .id = (uint8_t)QL_REPLY_ID(body),
            .status = (uint8_t)QL_REPLY_STATUS(body),
            .epoch = d->epoch,
        };
    }
    return size;
}

/* Decode the records of a frame that is PLAIN. Returns 0 or the error that ended it. */
static int take_records(ql_decoder *d, const uint8_t *frame, size_t words, ql_events *out)
{
    const uint64_t base = QL_HEADER_PAGE(frame) << QL_OFFSET_BITS;
    const uint8_t *in = frame + QL_HEADER_BYTES;
    size_t last = 0;
    int error = 0;

    if (QL_HEADER_PARAMETER(frame) != 0)
        return QL_E_TOO_NEW;
    for (size_t at = 0; at < words;) {
        size_t clicks = take_clicks(in + 4 * at, words - at, base, d->epoch, out->clicks + out->clicks_count);
        out->clicks_count += clicks;
        last = clicks ? at + clicks - 1 : last;
        at += clicks;
        if (at == words)
            break;
        size_t size = take_record(d, in + 4 * at, words - at, base, out, &error);
        if (size == 0)
            break;
        last = at;
        at += size;
    }
    d->last_tick = base | (ql_load(in + 4 * last, 4) & ((1u << QL_OFFSET_BITS) - 1));
    return error;
}

/* Where the reading of coded clicks stands. */
typedef struct {
    const uint8_t *bytes;
    size_t at; /* bits */
    uint32_t offset, steps, channel;
} ql_symbols;

/* Read a symbol. rice.py says how; nothing here depends on a branch that chance decides. */
static inline void take_symbol(ql_symbols *s, unsigned channel_bits)
{
    static const int8_t gains[QL_RICE_K_MAX + 1][QL_RICE_QUOTIENTS + 1] = QL_RICE_GAIN_BY_K_AND_QUOTIENT;
    const uint64_t bits = ql_load(s->bytes + s->at / 8, 8) >> s->at % 8;
    const uint32_t k = s->steps >> QL_RICE_STEP_BITS;
    const unsigned quotient = (unsigned)__builtin_ctzll(~bits | 1u << QL_RICE_QUOTIENTS);
    const int32_t steps = (int32_t)s->steps + gains[k][quotient];
    uint64_t rest;

    if (__builtin_expect(quotient < QL_RICE_QUOTIENTS, 1)) {
        rest = bits >> 1 >> quotient;
        s->offset += (quotient << k) + ((uint32_t)(rest >> channel_bits) & ((1u << k) - 1));
        s->at += quotient + 1 + channel_bits + k;
    } else {
        rest = bits >> QL_RICE_QUOTIENTS;
        s->offset += (uint32_t)(rest >> channel_bits) & ((1u << QL_OFFSET_BITS) - 1);
        s->at += QL_RICE_QUOTIENTS + channel_bits + QL_OFFSET_BITS;
    }
    s->channel = (uint32_t)rest & ((1u << channel_bits) - 1);
    s->steps = (uint32_t)(steps < 0 ? 0 : steps);
}

/* Decode coded clicks. Returns 0 or the error that ended the frame. */
static int take_coded(ql_decoder *d, const uint8_t *frame, size_t words, ql_events *out)
{
    const uint32_t parameter = (uint32_t)QL_HEADER_PARAMETER(frame), k = parameter & ((1u << QL_RICE_K_BITS) - 1);
    const uint32_t channel_bits = parameter >> QL_RICE_K_BITS, offset_mask = (1u << QL_OFFSET_BITS) - 1;
    const uint32_t head = (uint32_t)ql_load(frame + QL_HEADER_BYTES, 4);
    const uint64_t base = QL_HEADER_PAGE(frame) << QL_OFFSET_BITS;
    const size_t end = 32 * (words - 1);
    uint8_t bytes[4 * QL_MAX_FRAME_WORDS + 8]; /* whole loads, wherever a symbol begins */
    ql_click *click = out->clicks + out->clicks_count;
    ql_symbols s = {bytes, 0, head & offset_mask, (2 * k + 1) << (QL_RICE_STEP_BITS - 1), head >> QL_OFFSET_BITS};
    size_t read = 0;
    int bad;

    if (k > QL_RICE_K_MAX || channel_bits > QL_RICE_CHANNEL_BITS_MAX || s.channel >= QL_MAX_CHANNELS)
        return QL_E_BAD_CODE;
    memcpy(bytes, frame + QL_HEADER_BYTES + 4, end / 8);
    memset(bytes + end / 8, 255, 8);
    do {
        *click++ = (ql_click){base | s.offset, s.channel, d->epoch};
        read = s.at;
        take_symbol(&s, channel_bits);
    } while (s.at <= end && s.offset <= offset_mask);
    out->clicks_count = (size_t)(click - out->clicks);
    d->last_tick = click[-1].tick;
    bad = s.at <= end || read + 32 <= end || ~ql_load(bytes + read / 8, 8) >> read % 8; /* less than a word of ones */
    return bad ? QL_E_BAD_CODE : 0;
}

static int take_payload(ql_decoder *d, const uint8_t *frame, size_t words, ql_events *out)
{
    switch (QL_HEADER_CODING(frame)) {
    case QL_CODING_PLAIN:
        return take_records(d, frame, words, out);
    case QL_CODING_RICE:
        return take_coded(d, frame, words, out);
    default:
        return QL_E_UNKNOWN_CODING;
    }
}

/* The most clicks that a frame's payload can hold. */
static size_t most_clicks(const uint8_t *frame, size_t words)
{
    if (QL_HEADER_CODING(frame) != QL_CODING_RICE)
        return words;
    return 1 + 32 * (words - 1) / (1 + (QL_HEADER_PARAMETER(frame) >> QL_RICE_K_BITS));
}

static int has_room(const ql_events *out, const uint8_t *frame, size_t words)
{
    return out->clicks_max - out->clicks_count >= most_clicks(frame, words) &&
           out->heralds_max - out->heralds_count >= words / QL_HERALD_WORDS &&
           out->counters_max - out->counters_count >= words / QL_COUNTER_WORDS &&
           out->losses_max - out->losses_count >= words / QL_LOSS_WORDS &&
           out->replies_max - out->replies_count >= words / QL_REPLY_WORDS &&
           out->times_max - out->times_count >= words / QL_TIME_WORDS && out->gaps_max > out->gaps_count &&
           out->epochs_max > out->epochs_count;
}

/* Say what is missing between the last intact frame and this one. Returns whether the board started anew. */
static unsigned note_gap(ql_decoder *d, const uint8_t *frame, uint32_t sequence, ql_events *out)
{
    uint32_t missing = d->started ? sequence - d->sequence - 1 : 0;
    const unsigned unnamed = d->name != 0 && QL_HEADER_EPOCH(frame) == 0;
    const unsigned restarted = missing >> 31 || unnamed; /* nobody misses 2^31 frames: the numbers went back */

    if (restarted)
        missing = 0;
    if (missing || restarted || d->skipped)
        out->gaps[out->gaps_count++] = (ql_gap){
            .frames = missing,
            .bytes = d->skipped,
            .after_tick = d->last_tick,
            .before_tick = QL_HEADER_PAGE(frame) << QL_OFFSET_BITS,
        };
    d->frames_missing += missing;
    d->restarts += restarted;
    if (restarted)
        d->heralded = 0;
    d->skipped = 0;
    return restarted;
}

/* Find the frame's epoch: the next number, from that of the frame before on, that ends in the header's `name`. A frame
 * without a name is of the timebase whose name comes, or of a new one; and one with the name before is late. */
static void follow_epoch(ql_decoder *d, const uint8_t *frame, unsigned restarted, ql_events *out)
{
    const uint8_t name = (uint8_t)QL_HEADER_EPOCH(frame), before = d->name == 1 ? 255 : (uint8_t)(d->name - 1);
    const unsigned anew = restarted || (d->name && name != d->name);
    const uint32_t least = d->newest + anew;

    if (!restarted && d->name && name && name == before) {
        d->epoch = d->newest - (uint8_t)(d->name - name);
        return;
    }
    d->epoch = name ? least + (uint8_t)(name - least) : least;
    if (anew)
        out->epochs[out->epochs_count++] = (ql_epoch){
            .epoch = d->epoch,
            .before = d->newest,
            .after_tick = d->last_tick,
            .before_tick = QL_HEADER_PAGE(frame) << QL_OFFSET_BITS,
        };
    d->newest = d->epoch;
    d->name = name;
}

static void take_frame(ql_decoder *d, const uint8_t *frame, size_t words, uint32_t crc, ql_events *out)
{
    const uint32_t sequence = (uint32_t)QL_HEADER_SEQUENCE(frame);
    int error;

    if (d->started && sequence == d->sequence && crc == d->crc) {
        d->duplicates++;
        return;
    }
    follow_epoch(d, frame, note_gap(d, frame, sequence, out), out);
    d->started = 1;
    d->sequence = sequence;
    d->crc = crc;
    d->frames++;
    error = take_payload(d, frame, words, out);
    if (error)
        d->errors[error]++;
}

static void skip(ql_decoder *d, size_t bytes)
{
    d->skipped += bytes;
    d->bytes_skipped += bytes;
}

enum found { FRAME, NO_FRAME, INCOMPLETE };

/* Is there a frame at `at`, as far as `left` bytes show? */
static enum found look(const uint8_t *at, size_t left, size_t *words, uint32_t *crc)
{
    const uint8_t sync[2] = {QL_FRAME_SYNC & 255, QL_FRAME_SYNC >> 8};
    size_t size;

    if (at[0] != sync[0] || (left > 1 && at[1] != sync[1]))
        return NO_FRAME;
    if (left < QL_HEADER_SEQUENCE_AT) /* up to there, sync and length */
        return INCOMPLETE;
    *words = (size_t)QL_HEADER_WORDS(at);
    if (*words < 1 || *words > QL_MAX_FRAME_WORDS)
        return NO_FRAME;
    size = QL_HEADER_BYTES + 4 * *words;
    if (left < size + QL_CRC_BYTES)
        return INCOMPLETE;
    *crc = (uint32_t)ql_load(at + size, QL_CRC_BYTES);
    return *crc == ql_crc32(at + QL_SYNC_BYTES, size - QL_SYNC_BYTES) ? FRAME : NO_FRAME;
}

/* Decode what begins before `stop`. Returns where it stopped: behind `stop`, at a frame that is not whole yet, or,
 * with *full set, at one for which there is no room. */
static size_t scan(ql_decoder *d, const uint8_t *data, size_t size, size_t stop, ql_events *out, int *full)
{
    size_t at = 0;

    while (at < stop) {
        size_t words = 0;
        uint32_t crc = 0;
        const uint8_t *next;

        switch (look(data + at, size - at, &words, &crc)) {
        case INCOMPLETE:
            return at;
        case FRAME:
            *full = !has_room(out, data + at, words);
            if (*full)
                return at;
            take_frame(d, data + at, words, crc, out);
            at += QL_HEADER_BYTES + 4 * words + QL_CRC_BYTES;
            break;
        case NO_FRAME:
            next = memchr(data + at + 1, QL_FRAME_SYNC & 255, stop - at - 1);
            skip(d, next ? (size_t)(next - data) - at : stop - at);
            at = next ? (size_t)(next - data) : stop;
        }
    }
    return at;
}

/* Keep the carry's bytes from `from` on. */
static void keep(ql_decoder *d, size_t from, size_t size)
{
    memmove(d->carry, d->carry + from, size - from);
    d->carried = (uint32_t)(size - from);
}

/* Finish what was carried over from the piece before. Returns 1 when `data` is to be scanned from *taken on. */
static int finish_carried(ql_decoder *d, const uint8_t *data, size_t size, size_t *taken, ql_events *out, int *full)
{
    const size_t carried = d->carried;
    const size_t more = size - *taken < QL_FRAME_MAX_BYTES ? size - *taken : QL_FRAME_MAX_BYTES;
    size_t at;

    memcpy(d->carry + carried, data + *taken, more);
    at = scan(d, d->carry, carried + more, carried, out, full);
    if (at >= carried) {
        d->carried = 0;
        *taken += at - carried;
        return 1;
    }
    if (*full) {
        keep(d, at, carried);
    } else { /* not whole yet: then `data` was shorter than a frame, and is all in the carry now */
        keep(d, at, carried + more);
        *taken = size;
    }
    return 0;
}

void ql_begin(ql_decoder *d, uint32_t epoch)
{
    d->newest = d->epoch = epoch;
    d->name = (uint8_t)epoch;
}

int ql_feed(ql_decoder *d, const uint8_t *data, size_t size, size_t *taken, ql_events *out)
{
    const size_t before = *taken;
    int full = 0;

    if (*taken < size && (!d->carried || finish_carried(d, data, size, taken, out, &full))) {
        *taken += scan(d, data + *taken, size - *taken, size - *taken, out, &full);
        if (!full) {
            d->carried = (uint32_t)(size - *taken);
            memcpy(d->carry, data + *taken, d->carried);
            *taken = size;
        }
    }
    d->bytes += *taken - before;
    return full ? QL_FULL : QL_CONSUMED;
}

int ql_resync(ql_decoder *d, ql_events *out)
{
    int full = 0;

    while (d->carried && !full) {
        size_t at = scan(d, d->carry, d->carried, d->carried, out, &full);
        if (at < d->carried && !full) {
            skip(d, 1); /* the false sync mark */
            at++;
        }
        keep(d, at, d->carried);
    }
    return full ? QL_FULL : QL_CONSUMED;
}

void ql_count_clicks(const ql_click *clicks, size_t count, uint64_t limit, uint64_t *before, uint64_t *after)
{
    uint64_t *counts[2] = {after, before};

    for (size_t i = 0; i < count; i++)
        counts[(int64_t)(clicks[i].tick - limit) <= 0][clicks[i].channel % QL_MAX_CHANNELS]++;
}
