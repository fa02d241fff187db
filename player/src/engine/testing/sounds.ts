/** Sounds for tests, the same each time, and songs made of them. */

import { Deck } from '../dsp/deck'
import type { MixerOptions } from '../dsp/mixer'
import { CHUNK } from '../dsp/path'
import type { Channels, Reel } from '../dsp/reel'

export const RATE = 44100

/** Noise between -level and level. */
export function noise(frames: number, seed: number, level = 0.1): Float32Array {
  let state = seed * 2654435761 + 12345
  return Float32Array.from({ length: frames }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return level * (state / 2 ** 31 - 1)
  })
}

export function sine(frames: number, hz: number, level = 0.3, rate = RATE): Float32Array {
  return Float32Array.from({ length: frames }, (_, i) => level * Math.sin((2 * Math.PI * hz * i) / rate))
}

/** Each sample tells its own index: distinct for 2^20 samples, exact in float32. */
export function ramp(frames: number): Float32Array {
  return Float32Array.from({ length: frames }, (_, i) => (i % 2 ** 20) / 2 ** 21)
}

/** Put all chunks of some sources into a reel, or those that are named. */
export function load(reel: Reel, sources: readonly Channels[], indices?: readonly number[]): void {
  for (const [source, channels] of sources.entries()) {
    const chunks = Math.ceil(channels[0]!.length / CHUNK)
    for (const index of indices ?? Array.from({ length: chunks }, (_, i) => i)) {
      reel.put(source, index, channels.map((one) => one.slice(index * CHUNK, (index + 1) * CHUNK)))
    }
  }
}

/** A deck with all of its stems at hand. */
export function deckOf(stems: readonly Channels[], more: Partial<MixerOptions> & { mix?: Channels } = {}): Deck {
  const length = stems[0]![0]!.length
  const deck = new Deck({ sampleRate: more.sampleRate ?? RATE, length, stems: stems.length })
  load(deck.mixer.side.reel, stems)
  if (more.mix) load(deck.mixer.record(), [more.mix])
  return deck
}

type Each = (done: number) => void

/** What a deck puts out in the next `frames`; `each` is called before each quantum with the frames so far. */
export function rendered(deck: Deck, frames: number, each: Each = () => {}): [Float32Array, Float32Array] {
  const quanta = Math.ceil(frames / 128)
  const left = new Float32Array(quanta * 128)
  const right = new Float32Array(quanta * 128)
  for (let at = 0; at < left.length; at += 128) {
    each(at)
    deck.process(left.subarray(at, at + 128), right.subarray(at, at + 128))
  }
  return [left, right]
}

/** dB of the difference between two sounds over that of the second. */
export function differenceDb(one: Float32Array, other: Float32Array): number {
  let difference = 0
  let level = 0
  for (let i = 0; i < other.length; i++) {
    difference += (one[i]! - other[i]!) ** 2
    level += other[i]! ** 2
  }
  return 10 * Math.log10(difference / level)
}

export function levelDb(samples: Float32Array): number {
  return 10 * Math.log10(samples.reduce((sum, x) => sum + x * x, 0) / samples.length)
}

/** The frequency of a tone, from its zero crossings. */
export function pitchOf(samples: Float32Array, rate = RATE): number {
  let first = -1
  let last = -1
  let count = 0
  for (let i = 1; i < samples.length; i++) {
    if (!(samples[i - 1]! < 0 && samples[i]! >= 0)) continue
    const at = i - samples[i]! / (samples[i]! - samples[i - 1]!)
    if (first < 0) first = at
    else count += 1
    last = at
  }
  return (count * rate) / (last - first)
}

/** Where two sounds first differ, by any bit; -1 where they are the same. */
export function firstDifference(one: Float32Array, other: Float32Array): number {
  if (one.length !== other.length) return Math.min(one.length, other.length)
  return one.findIndex((x, i) => x !== other[i])
}
