import { describe, expect, it } from 'vitest'
import { before, edged, firstLoop, nearest, ordered, snapped } from './snap'

const beats = Array.from({ length: 40 }, (_, at) => at / 2) // 120 a minute, to 19.5 s
const known = { beats, period: 0.5 }
const onlyTempo = { beats: [], period: 0.5 }
const nothing = { beats: [], period: null }

it('finds what comes before and what is nearest', () => {
  expect([before([1, 2, 3], 0.5), before([1, 2, 3], 2), before([1, 2, 3], 9)]).toEqual([-1, 1, 2])
  expect([nearest([1, 2, 4], 2.9), nearest([1, 2, 4], 3.1), nearest([1], 9), nearest([], 7)]).toEqual([2, 4, 1, 7])
})

describe('snapped', () => {
  it('puts both ends on beats', () => {
    expect(snapped({ start: 1.9, end: 4.2 }, known, 20)).toEqual({ start: 2, end: 4 })
  })
  it('is never shorter than a beat, however short the drag', () => {
    expect(snapped({ start: 2.01, end: 2.02 }, known, 20)).toEqual({ start: 2, end: 2.5 })
  })
  it('reaches the end of the song after the last beat', () => {
    expect(snapped({ start: 19.6, end: 19.9 }, known, 20)).toEqual({ start: 19.5, end: 20 })
  })
  it('keeps the start and makes whole beats where only the tempo is known', () => {
    expect(snapped({ start: 1.23, end: 3.1 }, onlyTempo, 20)).toEqual({ start: 1.23, end: 3.23 })
  })
  it('leaves a region as it is where nothing is known, and turns one that was drawn backwards', () => {
    expect(snapped({ start: 3, end: 1 }, nothing, 20)).toEqual({ start: 1, end: 3 })
  })
})

it('keeps a region inside the song', () => {
  expect(ordered({ start: -4, end: 99 }, 20)).toEqual({ start: 0, end: 20 })
  expect(ordered({ start: 30, end: 40 }, 20)).toEqual({ start: 19.95, end: 20 })
})

describe('edged', () => {
  it('moves one end and leaves the other', () => {
    expect(edged('start', 3, { start: 1, end: 9 }, known, 20)).toEqual({ start: 3, end: 9 })
    expect(edged('end', 3, { start: 1, end: 9 }, known, 20)).toEqual({ start: 1, end: 3 })
  })
  it('is four bars long where there is no other end, or it would be on the wrong side', () => {
    expect(edged('start', 3, null, known, 20)).toEqual({ start: 3, end: 11 })
    expect(edged('start', 10, { start: 1, end: 9 }, known, 20)).toEqual({ start: 10, end: 18 })
    expect(edged('end', 12, null, known, 20)).toEqual({ start: 4, end: 12 })
    expect(edged('end', 3, { start: 4, end: 9 }, known, 20)).toEqual({ start: 0, end: 3 })
  })
})

describe('firstLoop', () => {
  it('is sixteen beats from the present one', () => {
    expect(firstLoop(3.7, known, 20)).toEqual({ start: 3.5, end: 11.5 })
  })
  it('moves forward where too few beats are left', () => {
    expect(firstLoop(19, known, 20)).toEqual({ start: 11.5, end: 19.5 })
  })
  it('is eight seconds without a tempo, less in a shorter song', () => {
    expect(firstLoop(1, nothing, 20)).toEqual({ start: 1, end: 9 })
    expect(firstLoop(1, nothing, 5)).toEqual({ start: 0, end: 5 })
  })
})
