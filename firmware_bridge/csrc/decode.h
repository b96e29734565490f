/* Decode the board's byte stream: frames of records, see wire.py and docs/wire.md.
 *
 * A decoder takes bytes in pieces of any size and writes events into the caller's arrays. It allocates nothing and
 * keeps at most one incomplete frame. The structs are those of events.py; a test compares their layouts. */
#ifndef QLINK_DECODE_H
#define QLINK_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "wire_layout.h" /* generated from wire.py */

typedef struct {
    uint64_t tick;
    uint32_t channel; /* numpy sees its lowest byte, the rest is padding */
    uint32_t epoch;
} ql_click;

typedef struct {
    uint64_t tick, attempt, sequence;
    uint32_t position;
    uint16_t channels, flags;
    uint16_t ages[QL_MAX_CHANNELS];
    uint8_t pattern, outcome, pad[2];
    uint32_t epoch;
} ql_herald;

typedef struct {
    uint64_t tick, value;
    uint16_t snapshot, index;
    uint32_t epoch;
} ql_counter;

typedef struct {
    uint64_t begin, end, count;
    uint16_t source;
    uint8_t pad[2];
    uint32_t epoch;
} ql_loss;

typedef struct {
    uint64_t tick;
    uint32_t value;
    uint16_t address;
    uint8_t id, status;
    uint32_t epoch;
    uint8_t pad[4];
} ql_reply;

typedef struct {
    uint64_t frames, bytes, after_tick, before_tick;
} ql_gap;

typedef struct {
    uint64_t tick, edges;
    uint32_t number, epoch;
    uint8_t source, pad[7];
} ql_time;

typedef struct {
    uint32_t epoch, before;
    uint64_t after_tick, before_tick;
} ql_epoch;

/* Why an intact frame could not be read to its end. */
enum {
    QL_E_UNKNOWN_KIND = 1,    /* a record of a kind that the contract has not; the frame's rest is lost */
    QL_E_UNKNOWN_CODING = 2,  /* a coding that the contract has not; the frame is lost */
    QL_E_TOO_NEW = 3,         /* header bits are in use that this coding has no use for; the frame is lost */
    QL_E_RECORD_OVERRUN = 4,  /* the last record runs past the frame's end; that record is lost */
    QL_E_BAD_CODE = 5,        /* coded clicks that no encoder writes; the frame's rest is lost */
};
enum { QL_ERROR_SLOTS = 6 };

enum { QL_CONSUMED = 0, QL_FULL = 1 };

typedef struct {
    uint64_t bytes;          /* taken in */
    uint64_t frames;         /* intact frames, those with errors included, duplicates not */
    uint64_t frames_missing; /* by their sequence numbers */
    uint64_t bytes_skipped;  /* bytes that belong to no intact frame */
    uint64_t duplicates;     /* frames that came twice in a row; the second is dropped */
    uint64_t restarts;       /* sequence numbers that went back: the board started anew */
    uint64_t errors[QL_ERROR_SLOTS]; /* by code */
    uint64_t last_tick;
    uint64_t skipped;  /* since the last intact frame */
    uint64_t herald;   /* sequence number of the last herald, unwrapped */
    uint32_t sequence; /* of the last intact frame */
    uint32_t crc;      /* likewise */
    uint32_t carried;  /* bytes in carry */
    uint8_t started;   /* there was an intact frame */
    uint8_t heralded;  /* there was a herald since the board started */
    uint32_t epoch;    /* of the last intact frame, unwrapped */
    uint32_t newest;   /* the highest so far: frames from before a wrap of the ticks may come late */
    uint8_t name;      /* what the header says of it */
    uint8_t carry[2 * QL_FRAME_MAX_BYTES];
} ql_decoder;

/* The caller's arrays: room for `*_max` events, `*_count` of them written. */
typedef struct {
    ql_click *clicks;
    ql_herald *heralds;
    ql_counter *counters;
    ql_loss *losses;
    ql_reply *replies;
    ql_gap *gaps;
    ql_time *times;
    ql_epoch *epochs;
    size_t clicks_max, heralds_max, counters_max, losses_max, replies_max, gaps_max, times_max, epochs_max;
    size_t clicks_count, heralds_count, counters_count, losses_count, replies_count, gaps_count, times_count,
        epochs_count;
} ql_events;

/* Begin, in a decoder of zeros, behind the epoch that was known last. */
void ql_begin(ql_decoder *decoder, uint32_t epoch);

/* Take in data[*taken..size), append to the events, move *taken on. QL_FULL: some array has no room for the next
 * frame (any finds room in empty arrays of QL_MAX_FRAME_WORDS, and QL_MAX_FRAME_CLICKS); drain them and call again. */
int ql_feed(ql_decoder *decoder, const uint8_t *data, size_t size, size_t *taken, ql_events *events);

/* Nothing more will come of the frame begun last: take its bytes for noise, and recover the frames inside. */
int ql_resync(ql_decoder *decoder, ql_events *events);

/* Count clicks by channel: before[c] of those up to the tick `limit`, after[c] of the others. Both are added to.
 * Ticks are taken modulo 2^64: what is less than 2^63 ahead of the limit is after it. */
void ql_count_clicks(const ql_click *clicks, size_t count, uint64_t limit, uint64_t *before, uint64_t *after);

/* CRC-32/ISO-HDLC of data, as zlib's crc32. */
uint32_t ql_crc32(const uint8_t *data, size_t size);

#endif
