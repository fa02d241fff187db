import script from 'signalsmith-stretch?raw'
import { beforeAll, describe, expect, it } from 'vitest'
import { stretchCode } from '../stretchCode'
import { deckOf, firstDifference, levelDb, noise, pitchOf, RATE, rendered, sine } from '../testing/sounds'
import type { Deck } from './deck'
import { limiterLatency } from './limiter'
import { Stretch } from './stretch'

const code = stretchCode(script)
const LATE = limiterLatency(RATE)

describe('the stretcher', () => {
  it('is found within its package, with all that is called', () => {
    expect(code.wasm.slice(0, 4)).toEqual(Uint8Array.of(0, 0x61, 0x73, 0x6d))
    expect(Object.keys(code.names)).toEqual(expect.arrayContaining(['_process', '_seek', '_reset', 'constructors']))
  })
})

/** A deck that plays one stem at a speed and pitch from its beginning. */
async function stretched(stem: Float32Array, speed: number, pitch: number): Promise<Deck> {
  const deck = deckOf([[stem]])
  deck.tempo.setStretch(await Stretch.from(code, RATE))
  deck.tempo.set(speed, pitch)
  deck.play()
  return deck
}

describe('speed', () => {
  it.each([0.5, 0.8, 1.25, 1.5])('%d leaves the pitch, and takes so much longer or shorter', async (speed) => {
    const deck = await stretched(sine(6 * RATE, 440), speed, 0)
    const [left] = rendered(deck, 2 * RATE)
    expect(pitchOf(left.subarray(RATE))).toBeCloseTo(440, 0)
    expect(levelDb(left.subarray(RATE))).toBeCloseTo(levelDb(sine(RATE, 440)), 0)
    expect(deck.report().position / RATE).toBeCloseTo(2 * speed, 1)
  })

  it.each([0.5, 1.5])('%d says truly where it is: a click comes when it is reported', async (speed) => {
    const click = new Float32Array(6 * RATE)
    click.set(sine(200, 3000, 0.9), 2 * RATE)
    const deck = await stretched(click, speed, 0)
    const positions: number[] = []
    const [left] = rendered(deck, 5 * RATE, (done) => (positions[done / 128] = deck.report().position))
    const loudest = left.reduce((best, x, i) => (Math.abs(x) > Math.abs(left[best]!) ? i : best), 0) - LATE
    expect(Math.abs(positions[Math.round(loudest / 128)]! - 2 * RATE) / RATE).toBeLessThan(0.03)
  })

  it('ends with the song', async () => {
    const deck = await stretched(sine(RATE, 440), 0.5, 0)
    rendered(deck, 1.9 * RATE)
    expect(deck.flow).toBe('playing')
    rendered(deck, 0.2 * RATE)
    expect(deck.report()).toMatchObject({ flow: 'ended', position: RATE })
  })
})

describe('pitch', () => {
  it.each([-12, -5, 7, 12])('%d semitones move a tone, not the time', async (semitones) => {
    const deck = await stretched(sine(4 * RATE, 440), 1, semitones)
    const [left] = rendered(deck, 2 * RATE)
    expect(pitchOf(left.subarray(RATE)) / 440).toBeCloseTo(2 ** (semitones / 12), 2)
    expect(deck.report().position / RATE).toBeCloseTo(2, 1)
  })
})

describe('speed 1 and pitch 0', () => {
  let deck: Deck
  const song = noise(6 * RATE, 4)
  let left: Float32Array
  const back = 128 * 700

  beforeAll(async () => {
    deck = deckOf([[song]])
    deck.tempo.setStretch(await Stretch.from(code, RATE))
    deck.play()
    ;[left] = rendered(deck, 4 * RATE, (done) => {
      if (done === 128 * 300) deck.tempo.set(0.8, 3)
      if (done === back) deck.tempo.set(1, 0)
    })
  })

  it('are every bit of the song, before and after', () => {
    expect(firstDifference(left.subarray(1000, 128 * 300), song.subarray(1000 - LATE, 128 * 300 - LATE))).toBe(-1)
    const after = left.subarray(back + 3000)
    const first = song.findIndex((x, i) => i > 10000 && x === after[0] && song[i + 1] === after[1])
    expect(firstDifference(after, song.subarray(first, first + after.length))).toBe(-1)
    const passed = 128 * 300 + 0.8 * (back - 128 * 300) // the song's time until the way back
    expect(Math.abs(first + LATE - 3000 - passed)).toBeLessThan(0.01 * RATE)
  })

  it('are left and reached without a gap', () => {
    const softest = Array.from({ length: 250 }, (_, i) => levelDb(left.subarray(128 * 290 + 441 * i).subarray(0, 882)))
    expect(Math.min(...softest)).toBeGreaterThan(-32)
  })
})
