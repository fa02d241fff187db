import { describe, expect, it } from 'vitest'
import { deckOf, differenceDb, firstDifference, levelDb, load } from '../testing/sounds'
import { noise, ramp, RATE, rendered, sine } from '../testing/sounds'
import { Deck } from './deck'
import { limiterLatency } from './limiter'
import { CHUNK } from './path'

const LATE = limiterLatency(RATE)
const FADE = Math.round(0.005 * RATE) // frames of a fade-in or -out
const PLAIN = { gain: 0, pan: 0, eq: { low: 0, mid: 0, high: 0 } }

const stereo = (seed: number, frames = 2 * RATE) => [noise(frames, seed), noise(frames, seed + 100)]

function sum(...parts: Float32Array[]): Float32Array {
  return parts[0]!.map((_, i) => parts.reduce((total, part) => total + part[i]!, 0))
}

/** The largest step between two samples. */
function steepest(samples: Float32Array): number {
  let most = 0
  for (let i = 1; i < samples.length; i++) most = Math.max(most, Math.abs(samples[i]! - samples[i - 1]!))
  return most
}

/** Play a deck from its place; the sound without the limiter's delay. */
function played(deck: Deck, frames: number, each?: (done: number) => void): [Float32Array, Float32Array] {
  deck.play()
  const [left, right] = rendered(deck, frames + LATE, each)
  return [left.subarray(LATE), right.subarray(LATE)]
}

describe('a mix', () => {
  it('is the sum of the stems', () => {
    const stems = [stereo(1), stereo(2), stereo(3)]
    const [left, right] = played(deckOf(stems), RATE)
    const mix = [0, 1].map((side) => sum(...stems.map((stem) => stem[side]!)))
    expect(differenceDb(left.subarray(FADE), mix[0]!.subarray(FADE, left.length))).toBeLessThan(-130)
    expect(differenceDb(right.subarray(FADE), mix[1]!.subarray(FADE, right.length))).toBeLessThan(-130)
  })

  it('has every bit of a stem that is alone', () => {
    const deck = deckOf([stereo(1), stereo(2)])
    deck.setStems([PLAIN, { ...PLAIN, gain: -60 }])
    const [left] = played(deck, RATE)
    expect(firstDifference(left.subarray(FADE), stereo(1)[0]!.subarray(FADE, left.length))).toBe(-1)
  })

  it('gives a mono stem to both sides', () => {
    const [left, right] = played(deckOf([[noise(RATE, 5)]]), RATE / 2)
    expect(firstDifference(left, right)).toBe(-1)
    expect(firstDifference(left.subarray(FADE), noise(RATE, 5).subarray(FADE, left.length))).toBe(-1)
  })

  it('follows a gain within 10 ms and without a step', () => {
    const deck = deckOf([[sine(RATE, 100)]])
    const [left] = played(deck, RATE / 2, (done) => {
      if (done === 128 * 40) deck.setStems([{ ...PLAIN, gain: -12, pan: 0.5 }])
    })
    const expected = sine(RATE, 100).map((x) => x * 10 ** (-12 / 20) * 0.5)
    const after = 128 * 40 + Math.round(0.01 * RATE)
    expect(differenceDb(left.subarray(after), expected.subarray(after, left.length))).toBeLessThan(-120)
    expect(steepest(left.subarray(FADE))).toBeLessThan(0.006)
  })

  it('measures each stem and the whole', () => {
    const deck = deckOf([[sine(RATE, 441, 0.5)], [sine(RATE, 441, 0.1)]])
    played(deck, RATE / 4)
    deck.report()
    rendered(deck, RATE / 4)
    const [first, second, master] = deck.report().levels
    expect(first!.peak).toBeCloseTo(0.5, 3)
    expect(Math.sqrt(second!.squares / (2 * second!.frames))).toBeCloseTo(0.1 / Math.SQRT2, 3)
    expect(master!.peak).toBeCloseTo(0.6, 3)
  })
})

describe('playback', () => {
  it('starts and stops with a fade, and goes on where it stopped', () => {
    const deck = deckOf([[ramp(RATE)]])
    const [first] = played(deck, 128 * 20)
    expect(first[0]).toBeLessThan(1e-6)
    deck.pause()
    rendered(deck, 1024)
    expect(deck.flow).toBe('stopped')
    const { position } = deck.report()
    deck.play()
    const [again] = rendered(deck, 2048)
    expect(again[1500]! * 2 ** 21).toBe(position + 1500 - LATE)
  })

  it('waits as a whole where one stem is not there, and loses nothing', () => {
    const stems = [[ramp(10 * CHUNK)], [noise(10 * CHUNK, 1, 1e-9)]]
    const deck = deckOf(stems)
    deck.mixer.side.reel.drop([4, 5, 6, 7, 8, 9])
    load(deck.mixer.side.reel, stems.slice(0, 1), [4, 5, 6, 7, 8, 9]) // the second stem's is missing
    const [left] = played(deck, 5 * CHUNK, (done) => {
      if (done === 128 * 300) load(deck.mixer.side.reel, stems)
      if (done === 128 * 290) expect(deck.flow).toBe('buffering')
    })
    expect(deck.flow).toBe('playing')
    const heard = left.filter((x) => x > 1e-4)
    const stop = heard.findIndex((x, i) => i > 1000 && x < heard[i - 1]!)
    expect(heard[stop]! * 2 ** 21).toBeLessThanOrEqual(4 * CHUNK)
    const indices = left.subarray(128 * 310).map((x) => x * 2 ** 21)
    const steps = indices.subarray(301).map((index, i) => index - indices[i + 300]!)
    expect(steps.every((step) => Math.abs(step - 1) < 0.01)).toBe(true)
  })

  it('ends at the song’s end', () => {
    const deck = deckOf([[ramp(RATE)]])
    const [left] = played(deck, 1.2 * RATE)
    expect(deck.report()).toMatchObject({ flow: 'ended', position: RATE })
    expect(left[RATE - 1]! * 2 ** 21).toBeCloseTo(RATE - 1, 0)
    expect(levelDb(left.subarray(RATE))).toBe(-Infinity)
  })

  it('jumps to the very sample, all stems at once, with a fade on either side', () => {
    const frames = 4 * RATE
    const deck = deckOf([[ramp(frames), new Float32Array(frames)], [new Float32Array(frames), ramp(frames)]])
    played(deck, RATE / 2)
    for (let seek = 1; seek <= 20; seek++) {
      const target = (seek * 7919 * 13) % (3 * RATE)
      deck.seek(seek, target)
      const [left, right] = rendered(deck, 4096)
      expect(firstDifference(left, right)).toBe(-1)
      expect(deck.report().seek).toBe(seek)
      const start = left.findIndex((x, i) => i > LATE && x === 0)
      const at = left.findIndex((x, i) => i > start && x > 0) // where the silence between the fades ends
      expect(left[at + 1000]! * 2 ** 21).toBe(target + 1000)
    }
  })

  it('repeats a loop to the sample, without a seam, for as long as it likes', () => {
    const deck = deckOf([[ramp(4 * RATE)]])
    const loop = { start: 10007, end: 10007 + 4 * CHUNK + 77 }
    deck.setLoop(loop)
    deck.seek(1, loop.start)
    const [left] = played(deck, 5 * (loop.end - loop.start))
    const length = loop.end - loop.start
    const expected = left.map((_, i) => (loop.start + (i % length)) / 2 ** 21)
    expect(firstDifference(left.subarray(FADE), expected.subarray(FADE))).toBe(-1)
  })

  it('repeats a loop that is shorter than a quantum', () => {
    const deck = deckOf([[ramp(RATE)]])
    deck.setLoop({ start: 500, end: 550 })
    deck.seek(1, 500)
    const [left] = played(deck, 2000)
    for (let i = FADE; i < 2000; i++) expect(left[i]! * 2 ** 21).toBe(500 + (i % 50))
  })

  it('goes through a long song of six stems and its original without a gap, in a small part of its time', () => {
    const frames = 600 * RATE
    const song = noise(20 * CHUNK, 7)
    const long = new Deck({ sampleRate: RATE, length: frames, stems: 6 })
    const recording = long.mixer.record()
    const feed = (index: number) => {
      const piece = song.subarray((index % 20) * CHUNK, ((index % 20) + 1) * CHUNK)
      for (let stem = 0; stem < 6; stem++) long.mixer.side.reel.put(stem, index, [piece, piece])
      recording.put(0, index, [piece, piece])
    }
    ;[0, 1, 2].forEach(feed)
    long.play()
    const left = new Float32Array(128)
    const right = new Float32Array(128)
    const seconds = 60
    let worst = 0
    const start = performance.now()
    for (let at = 0; at < seconds * RATE; at += 128) {
      if (at % CHUNK === 0) {
        feed(at / CHUNK + 2)
        long.mixer.side.reel.drop([at / CHUNK - 2])
        recording.drop([at / CHUNK - 2])
      }
      long.process(left, right)
      const index = (at + 127 - LATE) % (20 * CHUNK)
      if (at > 10000) worst = Math.max(worst, Math.abs(right[127]! - 6 * song[index]!))
    }
    const share = (performance.now() - start) / 1000 / seconds
    expect(worst).toBeLessThan(1e-6)
    expect(share).toBeLessThan(0.5)
  })
})

describe('the original beside the stems', () => {
  const stems = [stereo(1), stereo(2)]
  const mix = [0, 1].map((side) => sum(stems[0]![side]!, stems[1]![side]!))

  it('is equally loud by itself where the stems are as they were', () => {
    const deck = deckOf(stems, { mix })
    const [left] = played(deck, RATE, (done) => done === 128 * 200 && deck.mixer.setOriginal(true, true))
    expect(differenceDb(left.subarray(FADE), mix[0]!.subarray(FADE, left.length))).toBeLessThan(-120)
    expect(firstDifference(left.subarray(128 * 205), mix[0]!.subarray(128 * 205, left.length))).toBe(-1)
  })

  it('is the sum of the stems as they are where there is no recording', () => {
    const deck = deckOf(stems)
    deck.setStems([{ ...PLAIN, gain: -60 }, { ...PLAIN, eq: { low: 6, mid: 0, high: 0 } }])
    deck.mixer.setOriginal(true, false)
    const [left] = played(deck, RATE)
    const whole = mix[0]!.subarray(0, left.length)
    expect(differenceDb(left.subarray(FADE), whole.subarray(FADE))).toBeLessThan(-120)
  })

  it('waits for the recording, and the stems are heard meanwhile', () => {
    const other = stereo(3)
    const deck = deckOf(stems, { mix: other })
    deck.mixer.original!.drop([0, 1, 2, 3])
    const [left] = played(deck, RATE, (done) => {
      if (done === 128 * 100) deck.mixer.setOriginal(true, true)
      if (done === 128 * 200) load(deck.mixer.original!, [other])
    })
    const until = 128 * 200
    expect(differenceDb(left.subarray(FADE, until), mix[0]!.subarray(FADE, until))).toBeLessThan(-120)
    expect(firstDifference(left.subarray(128 * 205), other[0]!.subarray(128 * 205, left.length))).toBe(-1)
  })

  it('is made as loud as the mix that it is compared with', () => {
    const deck = deckOf(stems, { mix })
    deck.setStems([{ ...PLAIN, gain: -6 }, { ...PLAIN, gain: -6 }])
    const [left] = played(deck, 2 * RATE - 4096, (done) => done === 128 * 400 && deck.mixer.setOriginal(true, true))
    expect(levelDb(left.subarray(128 * 410)) - levelDb(mix[0]!)).toBeCloseTo(-6, 0)
  })
})

describe('other stems of the song', () => {
  it('take over within 30 ms, in their place, without a stop', () => {
    const [draft, fine] = [sine(3 * RATE, 220), sine(3 * RATE, 220, 0.25)]
    const deck = deckOf([[draft]])
    let ended = 0
    deck.play()
    const left = new Float32Array(2 * RATE)
    for (let at = 0; at < left.length; at += 128) {
      if (at === 128 * 300) {
        deck.mixer.next = deck.mixer.sideOf(1)
        load(deck.mixer.next.reel, [[fine]])
      }
      deck.process(left.subarray(at, at + 128), new Float32Array(128))
      if (at > 128 * 300 && !ended && !deck.mixer.next) ended = at
    }
    expect(ended - 128 * 300).toBeLessThan(0.032 * RATE)
    const from = ended + 256
    expect(firstDifference(left.subarray(from + LATE), fine.subarray(from, left.length - LATE))).toBe(-1)
    expect(steepest(left.subarray(1000))).toBeLessThan(0.0096)
  })

  it('wait until they are there', () => {
    const deck = deckOf([[ramp(3 * RATE)]])
    deck.mixer.next = deck.mixer.sideOf(1)
    const [left] = played(deck, RATE)
    expect(deck.mixer.next).not.toBeNull()
    expect(left[RATE - 1]! * 2 ** 21).toBe(RATE - 1)
  })

  it('may be other stems, each as it is set', () => {
    const [draft, one, two] = [sine(3 * RATE, 220), sine(3 * RATE, 220, 0.1), sine(3 * RATE, 330, 0.1)]
    const deck = deckOf([[draft]])
    deck.setStems([{ ...PLAIN, gain: -6 }])
    const [left] = played(deck, 2 * RATE, (done) => {
      if (done !== 128 * 300) return
      deck.mixer.next = deck.mixer.sideOf(2)
      load(deck.mixer.next.reel, [[one], [two]])
      deck.setStems([PLAIN, { ...PLAIN, gain: -60 }], deck.mixer.next)
    })
    const from = 128 * 300 + 0.04 * RATE
    expect(deck.mixer.side.strips).toHaveLength(2)
    expect(deck.report().levels).toHaveLength(3)
    expect(firstDifference(left.subarray(from), one.subarray(from, left.length))).toBe(-1)
    expect(steepest(left.subarray(1000, from))).toBeLessThan(0.02)
  })

  it.each([
    ['stops', (deck: Deck) => deck.pause()],
    ['jumps', (deck: Deck) => deck.seek(1, 2 * RATE)],
  ])('are heard at once where playback %s during the cross-fade', (_, change) => {
    const deck = deckOf([[sine(3 * RATE, 220)]])
    const next = deck.mixer.sideOf(1)
    played(deck, RATE, (done) => {
      if (done === 128 * 100) {
        deck.mixer.next = next
        load(next.reel, [[sine(3 * RATE, 330)]])
      }
      if (done === 128 * 102) change(deck)
    })
    expect(deck.mixer.side).toBe(next)
    expect(deck.mixer.next).toBeNull()
  })

  it('leave no trace where they go before they are heard', () => {
    const deck = deckOf([[ramp(3 * RATE)]])
    const [left] = played(deck, RATE, (done) => {
      if (done === 128 * 100) {
        deck.mixer.next = deck.mixer.sideOf(1)
        load(deck.mixer.next.reel, [[sine(3 * RATE, 330)]])
      }
      if (done === 128 * 103) deck.mixer.forget()
      if (done === 128 * 200) deck.mixer.next = deck.mixer.sideOf(1) // of which nothing comes
    })
    expect(deck.mixer.replacing).toBe(false)
    expect(left[RATE - 1]! * 2 ** 21).toBe(RATE - 1)
  })
})
