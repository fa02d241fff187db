/** A small drum kit, synthesised: one sound for each lane, to hear a chart against its drum stem. */

const SECONDS = [0.45, 0.3, 0.12, 0.4, 0.45, 0.55, 1.4, 0.9] as const // kick, snare, hi-hat, toms, crash, ride
const OPEN = 46 // MIDI note of an open hi-hat
const TAU = 2 * Math.PI

/** The sound of a hit on a lane, mono, full velocity, -1 to 1. The same each time. */
export function hitSound(lane: number, note: number, sampleRate: number): Float32Array<ArrayBuffer> {
  const seconds = lane === 2 && note === OPEN ? 0.5 : (SECONDS[lane] ?? 0.3)
  const sound = new Float32Array(Math.round(seconds * sampleRate))
  const voice = VOICES[lane] ?? VOICES[1]
  const noise = noises(sampleRate)
  for (let at = 0; at < sound.length; at += 1) {
    const time = at / sampleRate
    const fade = Math.min(1, (seconds - time) / 0.02) // no click at the end
    sound[at] = 0.8 * fade * (voice?.(time, noise, seconds) ?? 0)
  }
  return sound
}

interface Noises {
  white(): number
  bright(): number
}

/** White noise of a fixed seed, and the same without what is below the cymbals. */
function noises(sampleRate: number): Noises {
  let seed = 22_222
  const keep = Math.exp((-TAU * 6_000) / sampleRate)
  let [last, high] = [0, 0]
  const white = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) | 0
    return seed / 2 ** 31
  }
  const bright = () => {
    const now = white()
    high = keep * (high + now - last)
    last = now
    return high
  }
  return { white, bright }
}

type Voice = (time: number, noise: Noises, seconds: number) => number

const kick: Voice = (time) => Math.exp(-time * 9) * Math.sin(TAU * (48 * time + 2.2 * (1 - Math.exp(-time * 40)))) + 0.3 * Math.exp(-time * 400)
const snare: Voice = (time, { white }) => 0.5 * Math.exp(-time * 22) * Math.sin(TAU * 190 * time) + 0.55 * Math.exp(-time * 16) * white()
const hat: Voice = (time, { bright }, seconds) => 1.1 * Math.exp((-time * 6) / seconds) * bright()
const cymbal: Voice = (time, { bright }) => 0.9 * Math.exp(-time * 3.2) * bright() + 0.25 * Math.exp(-time * 60) * bright()
const ride: Voice = (time, { bright }) =>
  0.35 * Math.exp(-time * 5) * bright() + 0.12 * Math.exp(-time * 4) * (Math.sin(TAU * 5_130 * time) + Math.sin(TAU * 3_410 * time))
const tom = (pitch: number): Voice => (time) => Math.exp(-time * 8) * Math.sin(TAU * (pitch * time + 0.6 * (1 - Math.exp(-time * 30))))

const VOICES: readonly Voice[] = [kick, snare, hat, tom(180), tom(130), tom(90), cymbal, ride]

/** Amplitude of a velocity, 0 to 1. */
export const loudness = (velocity: number): number => (Math.max(0, Math.min(127, velocity)) / 127) ** 1.6
