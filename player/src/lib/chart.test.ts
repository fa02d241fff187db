import { expect, it } from 'vitest'
import { readChart, shape, upcoming, within, type Hit } from './chart'

const hit = (time: number, more: Partial<Hit> = {}): Hit => ({
  time,
  lane: 0,
  type: 'kick',
  velocity: 100,
  confidence: 0.9,
  note: 36,
  ...more,
})

it('orders hits by time', () => {
  const chart = readChart({ onsets: [hit(2), hit(1)], beats: [], bars: [], lanes: [], bpm: null })
  expect(chart.onsets.map((one) => one.time)).toEqual([1, 2])
})

it('finds the hits of a span, its start included and its end not', () => {
  const onsets = [0, 1, 1, 2, 3].map((time) => hit(time))
  expect(within(onsets, 1, 3)).toEqual([1, 4])
  expect(within(onsets, 5, 9)).toEqual([5, 5])
  expect(within([], 0, 1)).toEqual([0, 0])
})

it('draws hard hits higher and sure ones stronger, and none invisible', () => {
  expect(shape(hit(0, { velocity: 127, confidence: 1 }))).toEqual({ height: 1, opacity: 1 })
  expect(shape(hit(0, { velocity: 127 })).height).toBeGreaterThan(shape(hit(0, { velocity: 30 })).height)
  expect(shape(hit(0, { confidence: 0 })).opacity).toBeGreaterThan(0.3)
})

it('unrolls a loop into what plays next', () => {
  expect(upcoming(5, 2, null)).toEqual([{ start: 5, end: 7, after: 0 }])
  expect(upcoming(3.5, 1.5, { start: 3, end: 4 })).toEqual([
    { start: 3.5, end: 4, after: 0 },
    { start: 3, end: 4, after: 0.5 },
  ])
  expect(upcoming(1, 4, { start: 3, end: 4 }).map((span) => span.end)).toEqual([4, 4])
  expect(upcoming(6, 1, { start: 3, end: 4 })).toEqual([{ start: 6, end: 7, after: 0 }])
})
