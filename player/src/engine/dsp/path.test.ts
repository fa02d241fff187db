import { describe, expect, it } from 'vitest'
import { CHUNK, chunksAhead, loopOf, run, turned } from './path'

describe('the way of playback', () => {
  const loop = { start: 100, end: 150 }

  it('runs to the loop’s end, and from there to its start', () => {
    expect(run(140, 100, loop, 1000)).toBe(10)
    expect(turned(150, loop)).toBe(100)
    expect(run(100, 20, loop, 1000)).toBe(20)
    expect(turned(120, loop)).toBe(120)
  })

  it('goes by a loop that it began behind', () => {
    expect(run(150, 500, loop, 1000)).toBe(500)
    expect(run(800, 500, loop, 1000)).toBe(200)
  })

  it('ends with the song', () => {
    expect(run(1000, 1, null, 1000)).toBe(0)
  })
})

describe('the chunks that are needed next', () => {
  it('are those ahead, in order', () => {
    expect(chunksAhead(CHUNK - 1, CHUNK, null, 10 * CHUNK)).toEqual([0, 1])
    expect(chunksAhead(3 * CHUNK, 2 * CHUNK, null, 10 * CHUNK)).toEqual([3, 4])
    expect(chunksAhead(9 * CHUNK, 5 * CHUNK, null, 10 * CHUNK)).toEqual([9])
  })

  it('hold the loop’s head before its end is reached', () => {
    const loop = { start: 2 * CHUNK + 5, end: 8 * CHUNK + 5 }
    expect(chunksAhead(7 * CHUNK, 3 * CHUNK, loop, 20 * CHUNK)).toEqual([7, 8, 2, 3])
  })

  it('are those of the loop where it is shorter than what lies ahead', () => {
    expect(chunksAhead(5, 1e6, { start: 5, end: 6 }, 1e7)).toEqual([0])
    expect(chunksAhead(CHUNK, 1e6, { start: 10, end: CHUNK + 10 }, 1e7)).toEqual([1, 0])
  })
})

describe('a loop of seconds', () => {
  it('is exact to the sample and within the song', () => {
    expect(loopOf({ start: 1, end: 5 }, 44100, 1e6)).toEqual({ start: 44100, end: 220500 })
    expect(loopOf({ start: -3, end: 50 }, 10, 100)).toEqual({ start: 0, end: 100 })
  })

  it('is none where nothing is left of it', () => {
    expect(loopOf({ start: 2, end: 2 }, 44100, 1e6)).toBeNull()
    expect(loopOf({ start: 200, end: 300 }, 10, 100)).toBeNull()
  })
})
