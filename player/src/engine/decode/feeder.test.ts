import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CHUNK } from '../dsp/path'
import type { FeederEvent, ReelMessage } from '../messages'
import { serve, wavOf } from '../testing/server'
import { ramp } from '../testing/sounds'
import { Feeder } from './feeder'

const RATE = CHUNK // so that a second is a chunk
const LENGTH = 40 * CHUNK - 100
const SOURCE = { name: 'a', flac: '/a.flac', wav: '/a.wav' } // no WebCodecs here: WAV it is

class Listener {
  readonly held = [new Map<number, Float32Array>(), new Map<number, Float32Array>()]
  readonly order: number[] = []
  readonly events: FeederEvent[] = []
  readonly feeder = new Feeder(
    { sampleRate: RATE, length: LENGTH },
    (message) => this.take(message),
    (event) => this.events.push(event),
  )

  get indices(): number[] {
    return [...this.held[0]!.keys()].toSorted((one, other) => one - other)
  }

  async settled(): Promise<void> {
    await vi.waitFor(() => expect(this.events.length).toBeGreaterThan(0))
    for (let quiet = 0, count = -1; quiet < 3; quiet++) {
      if (this.order.length !== count) quiet = 0
      count = this.order.length
      await new Promise((go) => setTimeout(go, 15))
    }
  }

  private take(message: ReelMessage): void {
    if (message.type === 'drop') {
      for (const index of message.indices) this.held.forEach((one) => one.delete(index))
      return
    }
    this.order.push(message.index)
    this.held[message.source]!.set(message.index, message.channels[0]!)
  }
}

let listener: Listener

beforeEach(() => {
  serve(wavOf(ramp(LENGTH), RATE))
  listener = new Listener()
  void listener.feeder.open(1, [SOURCE, SOURCE])
})

afterEach(() => {
  listener.feeder.close(1)
  vi.unstubAllGlobals()
})

describe('what is decoded', () => {
  it('are the next five seconds of all sources, the first first, and no more', async () => {
    await listener.settled()
    expect(listener.indices).toEqual([0, 1, 2, 3, 4])
    expect([...listener.held[1]!.keys()].toSorted()).toEqual([0, 1, 2, 3, 4])
    expect(listener.events).toEqual([
      { type: 'opened', reel: 1 },
      { type: 'filled', seek: 0 },
    ])
    expect(listener.held[1]!.get(3)![7]! * 2 ** 21).toBe(3 * CHUNK + 7)
  })

  it('moves with playback and drops what is behind', async () => {
    await listener.settled()
    for (let position = 0; position <= 20 * CHUNK; position += CHUNK / 2) {
      listener.feeder.reach(0, position)
      await new Promise((go) => setTimeout(go, 3))
    }
    await listener.settled()
    expect(listener.indices).toEqual([19, 20, 21, 22, 23, 24])
    expect(listener.order.filter((index) => index === 10)).toHaveLength(2) // once for each source
  })

  it('jumps with a seek, at once; a word of playback before it counts no more', async () => {
    await listener.settled()
    listener.feeder.jump(1, 30 * CHUNK)
    listener.feeder.reach(0, 2 * CHUNK)
    await listener.settled()
    expect(listener.indices).toEqual([29, 30, 31, 32, 33, 34].filter((index) => listener.held[0]!.has(index)))
    expect(listener.indices).toEqual(expect.arrayContaining([30, 31, 32, 33, 34]))
    expect(listener.events.at(-1)).toEqual({ type: 'filled', seek: 1 })
  })

  it('holds the head of a loop before its end comes', async () => {
    listener.feeder.setLoop({ start: 2 * CHUNK, end: 12 * CHUNK })
    listener.feeder.jump(1, 10 * CHUNK)
    await listener.settled()
    expect(listener.indices.filter((index) => index !== 9)).toEqual([2, 3, 4, 10, 11])
  })

  it('ends with the song, its last chunk short', async () => {
    listener.feeder.jump(1, 38 * CHUNK)
    await listener.settled()
    expect(listener.held[0]!.get(39)).toHaveLength(CHUNK - 100)
    expect(Math.max(...listener.order)).toBe(39)
  })
})

describe('a file that cannot be played', () => {
  it('is told, with why', async () => {
    serve(wavOf(ramp(100), 8000))
    await listener.feeder.open(2, [SOURCE])
    expect(listener.events.at(-1)).toEqual({
      type: 'failed',
      reel: 2,
      reason: `a file of 8000 Hz in a song of ${RATE} Hz`,
    })
  })

  it('ends its reel alone', async () => {
    await listener.settled()
    serve(new Uint8Array(10), () => new Response('', { status: 404 }))
    await listener.feeder.open(2, [SOURCE])
    expect(listener.events.at(-1)).toMatchObject({ type: 'failed', reel: 2 })
    serve(wavOf(ramp(LENGTH), RATE))
    listener.feeder.reach(0, 5 * CHUNK)
    await listener.settled()
    expect(listener.indices).toEqual([4, 5, 6, 7, 8, 9])
  })
})
