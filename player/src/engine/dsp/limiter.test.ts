import { describe, expect, it } from 'vitest'
import { firstDifference, noise, RATE, sine } from '../testing/sounds'
import { CEILING, Limiter, limiterLatency } from './limiter'

const LATENCY = limiterLatency(RATE)

function limited(samples: Float32Array, other: Float32Array = samples.slice()): [Float32Array, Float32Array] {
  const limiter = new Limiter(RATE)
  const left = samples.slice()
  const right = other.slice()
  for (let at = 0; at < left.length; at += 128) {
    const frames = Math.min(128, left.length - at)
    limiter.run(left.subarray(at, at + frames), right.subarray(at, at + frames), frames)
  }
  return [left, right]
}

describe('the limiter', () => {
  it('delays by 5 ms and changes no bit of what stays within full scale', () => {
    const loud = noise(RATE, 3, 1)
    loud[1000] = 1
    loud[1001] = -1
    const [left, right] = limited(loud, noise(RATE, 4, 0.5))
    expect(firstDifference(left.subarray(LATENCY), loud.subarray(0, -LATENCY))).toBe(-1)
    expect(firstDifference(right.subarray(LATENCY), noise(RATE, 4, 0.5).subarray(0, -LATENCY))).toBe(-1)
    expect(LATENCY / RATE).toBeCloseTo(0.005, 3)
  })

  it.each([1, 2, 3, 4, 5])('never passes the ceiling, however loud it gets (%d)', (seed) => {
    const wild = noise(RATE, seed, 0.2)
    noise(60, seed + 50, RATE).forEach((place, i) => (wild[Math.floor(Math.abs(place))] = (i % 7) - 3))
    wild.subarray(20000, 26000).forEach((x, i) => (wild[20000 + i] = 40 * x))
    const [left] = limited(wild)
    expect(left.reduce((most, x) => Math.max(most, Math.abs(x)), 0)).toBeLessThanOrEqual(CEILING)
  })

  it('turns a loud passage down to full scale, not further', () => {
    const [left] = limited(sine(RATE, 100, 2))
    const peak = left.subarray(RATE / 2).reduce((most, x) => Math.max(most, Math.abs(x)), 0)
    expect(peak).toBeGreaterThan(0.98)
  })

  it('turns both sides down alike, so that the picture stays', () => {
    const [left, right] = limited(sine(RATE, 100, 2), sine(RATE, 100, 0.5))
    for (let i = 5000; i < RATE; i += 97) expect(right[i]!).toBeCloseTo(0.25 * left[i]!, 5)
  })

  it('is transparent to the bit again within a second', () => {
    const samples = noise(3 * RATE, 9, 0.9)
    samples[1000] = 3
    const [left] = limited(samples)
    expect(firstDifference(left.subarray(2 * RATE + LATENCY), samples.subarray(2 * RATE, -LATENCY))).toBe(-1)
    expect(left[1000 + LATENCY + 200]).not.toBe(samples[1200])
  })
})
