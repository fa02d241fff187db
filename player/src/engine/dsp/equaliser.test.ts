import { describe, expect, it } from 'vitest'
import { differenceDb, firstDifference, levelDb, noise, RATE, sine } from '../testing/sounds'
import { highShelf, lowShelf, peak, response } from './biquad'
import { Equaliser } from './equaliser'

const FLAT = { low: 0, mid: 0, high: 0 }

/** dB that an equaliser adds to a tone, measured on its sound. */
function measured(bands: typeof FLAT, hz: number): number {
  const equaliser = new Equaliser(RATE)
  equaliser.set(bands, 0)
  const left = sine(RATE, hz)
  const right = left.slice()
  for (let at = 0; at < RATE; at += 100) equaliser.run(left.subarray(at, at + 100), right.subarray(at, at + 100), 100)
  expect(firstDifference(right, left)).toBe(-1)
  return levelDb(left.subarray(RATE / 2)) - levelDb(sine(RATE, hz).subarray(RATE / 2))
}

describe('the three bands', () => {
  it.each([6, -12])('reach their gain where they work, %d dB, and leave the rest', (db) => {
    expect(response(lowShelf(250, db, RATE), 20, RATE)).toBeCloseTo(db, 1)
    expect(response(lowShelf(250, db, RATE), 10000, RATE)).toBeCloseTo(0, 1)
    expect(response(peak(1000, db, RATE), 1000, RATE)).toBeCloseTo(db, 6)
    expect(Math.abs(response(peak(1000, db, RATE), 30, RATE))).toBeLessThan(0.1)
    expect(response(highShelf(4000, db, RATE), 20000, RATE)).toBeCloseTo(db, 1)
    expect(response(highShelf(4000, db, RATE), 100, RATE)).toBeCloseTo(0, 1)
  })

  it('have half of their dB at a shelf’s frequency', () => {
    expect(response(lowShelf(250, 8, RATE), 250, RATE)).toBeCloseTo(4, 6)
    expect(response(highShelf(4000, 8, RATE), 4000, RATE)).toBeCloseTo(4, 6)
  })

  it('sound as they are designed', () => {
    expect(measured({ ...FLAT, low: 9 }, 60)).toBeCloseTo(response(lowShelf(250, 9, RATE), 60, RATE), 2)
    expect(measured({ ...FLAT, mid: -15 }, 1000)).toBeCloseTo(-15, 2)
    expect(measured({ ...FLAT, high: 6 }, 9000)).toBeCloseTo(response(highShelf(4000, 6, RATE), 9000, RATE), 2)
  })

  it('are stable at low sample rates too', () => {
    for (const filter of [highShelf(4000, 12, 8000), lowShelf(250, -24, 8000), peak(1000, 12, 4000)]) {
      expect(Math.abs(filter[4])).toBeLessThan(1)
      expect(Math.abs(filter[3])).toBeLessThan(1 + filter[4])
    }
  })
})

describe('an equaliser', () => {
  it('is not there at 0 dB: every bit stays', () => {
    const left = noise(1000, 1)
    const right = noise(1000, 2)
    new Equaliser(RATE).run(left, right, 1000)
    expect(left).toEqual(noise(1000, 1))
    expect(right).toEqual(noise(1000, 2))
  })

  it('is not there again a moment after it went back to 0 dB, and does not click on the way', () => {
    const equaliser = new Equaliser(RATE)
    const left = sine(RATE, 200)
    const plain = left.slice()
    equaliser.set({ ...FLAT, low: 12 }, 441)
    for (let at = 0; at + 128 <= RATE; at += 128) {
      if (at === 128 * 80) equaliser.set(FLAT, 441)
      equaliser.run(left.subarray(at, at + 128), left.slice(at, at + 128), 128)
    }
    expect(equaliser.bypassed).toBe(true)
    expect(firstDifference(left.subarray(RATE - 10000), plain.subarray(RATE - 10000))).toBe(-1)
    let steepest = 0
    for (let i = 2; i < RATE; i++) steepest = Math.max(steepest, Math.abs(left[i]! - 2 * left[i - 1]! + left[i - 2]!))
    expect(steepest).toBeLessThan(0.01) // a click of -40 dBFS would be more
    expect(differenceDb(left.subarray(2000, 9000), plain.subarray(2000, 9000))).toBeGreaterThan(-6)
  })
})
