/** Fingers and the mouse on the waveforms. */

import { useRef, type PointerEvent, type ReactNode } from 'react'
import { useMix } from './mixer'
import { pinched, type View } from './view'

/** The moment at a place of the screen, CSS pixels from its left. */
export function momentAt(x: number, box: Element, view: View): number {
  const area = box.getBoundingClientRect()
  return view.start + ((x - area.left) / area.width) * view.span
}

const SLOP = 8 // CSS pixels that a finger moves before it means to scrub

interface Hold {
  readonly wave: Element
  readonly from: number // CSS pixels
  x: number // CSS pixels
  moment: number // under it as a pinch began
}

type Gesture = 'none' | 'press' | 'scrub' | 'pinch'

/**
 * A click or a drag on any waveform goes there; a finger may also scroll the page, so it does so as it lifts or drags.
 * Two fingers zoom and move.
 */
export function Scrub({ view, onView, children }: { view: View; onView: (view: View) => void; children: ReactNode }) {
  const { engine, seek } = useMix()
  const holds = useRef(new Map<number, Hold>())
  const gesture = useRef<Gesture>('none')
  const pinch = () => {
    const [one, other] = [...holds.current.values()]
    if (!one || !other) return
    const area = one.wave.getBoundingClientRect()
    const share = (hold: Hold) => (hold.x - area.left) / area.width
    onView(pinched([one.moment, other.moment], [share(one), share(other)], engine.duration))
  }
  const down = (event: PointerEvent<HTMLElement>) => {
    const wave = event.button === 0 ? (event.target as Element).closest('[data-wave]') : null
    if (!wave || holds.current.size === 2) return
    const x = event.clientX
    holds.current.set(event.pointerId, { wave, from: x, x, moment: 0 })
    event.currentTarget.setPointerCapture(event.pointerId)
    gesture.current = holds.current.size === 2 ? 'pinch' : event.pointerType === 'touch' ? 'press' : 'scrub'
    if (gesture.current === 'scrub') seek(momentAt(x, wave, view))
    else for (const hold of holds.current.values()) hold.moment = momentAt(hold.x, wave, view)
  }
  const move = (event: PointerEvent) => {
    const hold = holds.current.get(event.pointerId)
    if (!hold) return
    hold.x = event.clientX
    if (gesture.current === 'pinch') pinch()
    if (gesture.current === 'press' && Math.abs(hold.x - hold.from) > SLOP) gesture.current = 'scrub'
    if (gesture.current === 'scrub') seek(momentAt(hold.x, hold.wave, view))
  }
  const release = (event: PointerEvent) => {
    holds.current.delete(event.pointerId)
    if (holds.current.size === 0) gesture.current = 'none'
  }
  const up = (event: PointerEvent) => {
    const hold = holds.current.get(event.pointerId)
    if (hold && gesture.current === 'press') seek(momentAt(hold.x, hold.wave, view))
    release(event)
  }
  return (
    <div onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerCancel={release}>
      {children}
    </div>
  )
}
