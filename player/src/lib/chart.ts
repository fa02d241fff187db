/** The drum chart: hits on eight lanes. Times are seconds of the song. */

export interface Hit {
  readonly time: number
  readonly lane: number
  readonly type: string
  readonly velocity: number // 1 to 127
  readonly confidence: number // 0 to 1
  readonly note: number
}

export interface Chart {
  readonly bpm: number | null
  readonly beats: readonly number[]
  readonly bars: readonly number[]
  readonly lanes: readonly { readonly lane: number; readonly type: string }[]
  readonly onsets: readonly Hit[]
}

const SHORT: Readonly<Record<string, string>> = { kick: 'K', snare: 'S', hi_hat: 'HH', high_tom: 'T1', mid_tom: 'T2', floor_tom: 'T3', crash: 'C', ride: 'R' }

/** A lane's name as drummers write it where there is little room. */
export const shortLane = (type: string): string => SHORT[type] ?? type.slice(0, 2).toUpperCase()

/** Reads `drums.json`; hits come out in the order of their times. */
export function readChart(json: unknown): Chart {
  const chart = json as Chart
  return { ...chart, onsets: chart.onsets.toSorted((a, b) => a.time - b.time) }
}

/** Which hits fall into the seconds from `start` up to, but without, `end`, as indices [first, last). */
export function within(onsets: readonly Hit[], start: number, end: number): [number, number] {
  return [firstFrom(onsets, start), firstFrom(onsets, end)]
}

function firstFrom(onsets: readonly Hit[], time: number): number {
  let [low, high] = [0, onsets.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((onsets[middle]?.time ?? Infinity) < time) low = middle + 1
    else high = middle
  }
  return low
}

/** How a hit is drawn: height by velocity, 0.25 to 1, and opacity by confidence, 0.35 to 1. */
export function shape(hit: Hit): { height: number; opacity: number } {
  return { height: 0.25 + 0.75 * Math.min(1, hit.velocity / 127), opacity: 0.35 + 0.65 * Math.min(1, hit.confidence) }
}

export interface Span {
  readonly start: number
  readonly end: number
  readonly after: number // seconds of song from now until it begins
}

/** What plays in the next `seconds` from `position`, in pieces where a loop goes back to its start. */
export function upcoming(position: number, seconds: number, loop: { start: number; end: number } | null): Span[] {
  const round = loop && position < loop.end && loop.end > loop.start ? loop : null
  const spans: Span[] = []
  for (let [at, after] = [position, 0]; seconds - after > 1e-9; at = round?.start ?? 0) {
    const end = Math.min(at + seconds - after, round?.end ?? Infinity)
    spans.push({ start: at, end, after })
    after += end - at
  }
  return spans
}
