import { describe, expect, it } from 'vitest'
import { fitted, following, pinched, ticks, whole, zoomed } from './view'

it('keeps a view within the song', () => {
  expect(fitted({ start: -5, span: 10 }, 60)).toEqual({ start: 0, span: 10 })
  expect(fitted({ start: 55, span: 10 }, 60)).toEqual({ start: 50, span: 10 })
  expect(fitted({ start: 0, span: 100 }, 60)).toEqual(whole(60))
  expect(fitted({ start: 0, span: 0.1 }, 0.3)).toEqual(whole(0.3))
})

describe('zoomed', () => {
  it('keeps the moment under the pointer in its place', () => {
    const view = zoomed({ start: 10, span: 40 }, 2, 20, 60)
    expect(view).toEqual({ start: 15, span: 20 })
    expect((20 - view.start) / view.span).toBe((20 - 10) / 40)
  })
  it('goes around the middle where that moment is out of sight', () => {
    expect(zoomed({ start: 10, span: 40 }, 2, 55, 60)).toEqual({ start: 20, span: 20 })
  })
  it('stops at half a second and at the whole song', () => {
    expect(zoomed({ start: 0, span: 1 }, 100, 0.5, 60).span).toBe(0.5)
    expect(zoomed({ start: 10, span: 40 }, 0.01, 20, 60)).toEqual(whole(60))
  })
})

describe('pinched', () => {
  it('keeps under each finger the moment that it took hold of', () => {
    const view = pinched([20, 30], [0.2, 0.7], 60)
    expect(view).toEqual({ start: 16, span: 20 })
    expect(view.start + 0.7 * view.span).toBe(30)
  })
  it('is the same whichever finger came first', () => expect(pinched([30, 20], [0.7, 0.2], 60)).toEqual(pinched([20, 30], [0.2, 0.7], 60)))
  it('stays within the song, and shows all of it where the fingers meet', () => {
    expect(pinched([1, 9], [0.4, 0.5], 60)).toEqual(whole(60))
    expect(pinched([20, 30], [0.5, 0.5], 60)).toEqual(whole(60))
    expect(pinched([20, 20.01], [0, 1], 60).span).toBe(0.5)
  })
})

it('turns the page when the moment that plays leaves it, either way', () => {
  const view = { start: 10, span: 10 }
  expect(following(view, 15, 60)).toBe(view)
  expect(following(view, 20.1, 60).start).toBeCloseTo(19.6)
  expect(following(view, 2, 60).start).toBeCloseTo(1.5)
  expect(following(whole(60), 61, 60)).toEqual(whole(60))
})

it('puts ticks at round times', () => {
  expect(ticks({ start: 3, span: 60 }, 8)).toEqual({ step: 10, times: [10, 20, 30, 40, 50, 60] })
  expect(ticks({ start: 0, span: 1.9 }, 10).step).toBe(0.2)
})
