// An independent client of the supervisor, written from docs/messages.md alone: Node.js, npm's zeromq and msgpack.
//
//   node client.mjs HOME NAME COUNT [--after N] [--deaf MS]
//
// Hears COUNT heralds on the topic `herald` without a gap, asks for one pair, waits until it is granted, and prints what
// it saw as one line of JSON. `--after N` asks for everything after herald N, as one who comes late; `--deaf MS` hears
// nothing for a while in the midst of it. What was missed is asked for again.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer, Subscriber } from "zeromq";

const VERSION = 1;
const MAX_REPLAY = 1000;
// places in the body "ok", after its kind: see docs/messages.md
const OK = { tenant: 2, key: 3, pair: 5, fidelity: 8, fidelityLow: 9, fidelityHigh: 10 };

const [home, name, count, ...flags] = process.argv.slice(2);
const flag = (what) => (flags.includes(what) ? Number(flags[flags.indexOf(what) + 1]) : undefined);
const after = flag("--after");
const deafMs = flag("--deaf");

function keysFrom(file) {
  const text = readFileSync(join(home, file), "utf8");
  const value = (half) => text.match(new RegExp(`^${half} = "(.{40})"$`, "m"))[1];
  return { publicKey: value("public"), secretKey: value("secret") };
}

const addresses = JSON.parse(readFileSync(join(home, "addresses.json"), "utf8"));
const own = keysFrom(`${name}.key`);
const curve = {
  curveServerKey: keysFrom("server.key").publicKey,
  curvePublicKey: own.publicKey,
  curveSecretKey: own.secretKey,
};

// -- calls: one frame [version, id, body], answered by [version, id, body]

const dealer = new Dealer({ ...curve, linger: 0, receiveTimeout: 10_000 });
dealer.connect(addresses.requests);
let id = 0;

async function call(body) {
  id += 1;
  await dealer.send(encode([VERSION, id, body]));
  for (;;) {
    const [frame] = await dealer.receive();
    const [version, answered, answer] = decode(frame, { useBigInt64: true });
    if (version !== VERSION) throw new Error(`version ${version} of the messages is not spoken here`);
    if (Number(answered) === id) return answer;
  }
}

// -- publications: two frames, topic and [version, first, bodies]

const subscriber = new Subscriber({ ...curve, linger: 0, receiveTimeout: 10_000 });
subscriber.connect(addresses.publications);
subscriber.subscribe("herald", "request");

const seen = { numbers: 0, gaps: 0, replayed: 0, heartbeats: 0, first: null, last: null, granted: null, request: null };
const next = new Map(); // by topic: the number that has to come
if (after !== undefined) next.set("herald", after + 1);

function take(topic, number, body) {
  if (number !== (next.get(topic) ?? number)) throw new Error(`${topic} ${number} out of order`);
  next.set(topic, number + 1);
  if (topic === "herald") {
    if (body[0] !== "herald" || Number(body[2]) !== number) throw new Error(`herald ${number} is pair ${body[2]}`);
    seen.first ??= number;
    seen.last = number;
    seen.numbers += 1;
  } else if (body[0] === "ok" && body[OK.key] === key) {
    const [tenant, fidelity, low, high] = [OK.tenant, OK.fidelity, OK.fidelityLow, OK.fidelityHigh].map((at) => body[at]);
    seen.granted = { tenant, pair: Number(body[OK.pair]), fidelity, low, high };
  }
}

async function fill(topic, upTo) {
  seen.gaps += 1;
  while (next.get(topic) < upTo) {
    const limit = Math.min(upTo - next.get(topic), MAX_REPLAY);
    const [kind, , first, , bodies] = await call(["replay", topic, next.get(topic), limit]);
    if (kind !== "replayed" || bodies.length === 0) throw new Error(`replay of ${topic} answered ${kind} ${first}`);
    bodies.forEach((body, place) => take(topic, Number(first) + place, body));
    seen.replayed += bodies.length;
  }
}

async function hear() {
  const [frame, payload] = await subscriber.receive();
  const topic = frame.toString();
  const [version, firstNumber, bodies] = decode(payload, { useBigInt64: true });
  if (version !== VERSION) throw new Error(`version ${version} of the messages is not spoken here`);
  const first = Number(firstNumber);
  if (bodies.length === 0) seen.heartbeats += 1;
  if (!next.has(topic)) next.set(topic, first);
  if (first > next.get(topic)) await fill(topic, first);
  const known = next.get(topic) - first;
  bodies.slice(known).forEach((body, place) => take(topic, first + known + place, body));
}

const key = `node-${process.pid}-${Date.now()}`;
const half = Math.floor(Number(count) / 2);
while (seen.numbers < half) await hear();
if (deafMs !== undefined) {
  subscriber.unsubscribe("herald");
  await sleep(deafMs);
  subscriber.subscribe("herald");
}
seen.request = (await call(["create", key, 1, 0.6, 5_000_000_000, 0, 0, 0, false, false]))[0];
while (seen.numbers < Number(count) || seen.granted === null) await hear();
const again = await call(["create", key, 1, 0.6, 5_000_000_000, 0, 0, 0, false, false]);
seen.again = again[0];
const [, said] = await call(["recall", key]);
seen.recalled = said.map((body) => body[0]);
seen.confirmed = (await call(["confirm", seen.granted.pair, true]))[0];
console.log(JSON.stringify(seen));
subscriber.close();
dealer.close();
