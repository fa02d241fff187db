/** Which part of a song is in sight. Times are seconds. */

export interface View {
  readonly start: number
  readonly span: number
}

const CLOSEST = 0.5 // seconds across the whole width

export const whole = (duration: number): View => ({ start: 0, span: duration })

/** A view that lies within the song. */
export function fitted({ start, span }: View, duration: number): View {
  const wide = Math.min(duration, Math.max(Math.min(CLOSEST, duration), span))
  return { start: Math.min(Math.max(0, start), duration - wide), span: wide }
}

/** Whether a moment is in sight. */
export const shows = ({ start, span }: View, at: number): boolean => at >= start && at <= start + span

/** Closer by `factor` (below 1: farther) around a moment, which stays where it is on the screen; around the middle where it is out of sight. */
export function zoomed(view: View, factor: number, at: number, duration: number): View {
  const span = Math.min(duration, Math.max(CLOSEST, view.span / factor))
  const part = shows(view, at) ? (at - view.start) / view.span : 0.5
  return fitted({ start: view.start + part * (view.span - span), span }, duration)
}

/** The view of two fingers: under each, at its share of the width, lies the moment that it took hold of. */
export function pinched(moments: readonly [number, number], shares: readonly [number, number], duration: number): View {
  const [one, other] = moments
  const apart = (shares[1] - shares[0]) / (other - one)
  const span = apart > 0 ? Math.min(duration, Math.max(CLOSEST, 1 / apart)) : duration
  return fitted({ start: (one + other) / 2 - ((shares[0] + shares[1]) / 2) * span, span }, duration)
}

/** The view that shows a moment: the same while it is in sight, else turned like a page. */
export function following(view: View, at: number, duration: number): View {
  if (view.span >= duration || shows(view, at)) return view
  return fitted({ start: at - 0.05 * view.span, span: view.span }, duration)
}

/** Ticks of a ruler that has room for `most`: a round number of seconds apart. */
export function ticks(view: View, most: number): { step: number; times: number[] } {
  const steps = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600]
  const step = steps.find((one) => view.span / one <= most) ?? 7200
  const first = Math.ceil(view.start / step)
  const last = Math.floor((view.start + view.span) / step)
  return { step, times: Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => (first + at) * step) }
}
