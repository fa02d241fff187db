import { describe, expect, it } from 'vitest'
import { Clock } from './clock'

const song = { sampleRate: 100, length: 1000 }
const playing = (time: number, position: number, rate = 1) => ({ time, position, rate, flow: 'playing' as const })

describe('the clock', () => {
  it('goes on between reports, at the speed that is heard', () => {
    const clock = new Clock(song)
    clock.add(playing(1, 200))
    expect(clock.at(1.5, null)).toBe(250)
    clock.add(playing(2, 300, 0.5))
    expect(clock.at(3, null)).toBe(350)
  })

  it('tells what was heard a moment ago by the report of then', () => {
    const clock = new Clock(song)
    clock.add(playing(1, 200))
    clock.add(playing(2, 50)) // a loop's end between both
    expect(clock.at(1.8, { start: 10, end: 260 })).toBe(10 + 20)
    expect(clock.at(1.5, { start: 10, end: 260 })).toBe(250)
  })

  it('turns at a loop’s end and stops at the song’s', () => {
    const clock = new Clock(song)
    clock.add(playing(0, 990))
    expect(clock.at(5, null)).toBe(1000)
    expect(clock.at(0.2, { start: 0, end: 1000 })).toBe(10)
  })

  it('stands still while nothing is heard, and jumps at once', () => {
    const clock = new Clock(song)
    clock.add({ ...playing(1, 200), flow: 'buffering' })
    expect(clock.at(4, null)).toBe(200)
    clock.jump(700, 5)
    expect(clock.at(4.9, null)).toBe(700)
    expect(clock.at(6, null)).toBe(700)
  })
})
