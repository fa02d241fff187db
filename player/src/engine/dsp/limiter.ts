/** A look-ahead limiter: never above full scale, and bit for bit transparent for what does not go there. */

export const CEILING = 1 // 0 dBFS: a mastered song touches it, and must still come out as it is

/** The limiter's delay in frames: 5 ms. */
export function limiterLatency(sampleRate: number): number {
  return Math.round(sampleRate * 0.005)
}

/**
 * Each sample waits `latency` frames. The gain is the least that any sample of that window needs, rising again with a
 * time constant of 80 ms, averaged over the window: so it arrives in time, in a straight line, and no sample can pass
 * the ceiling.
 */
export class Limiter {
  private readonly window: number
  private readonly delayed: [Float32Array, Float32Array]
  private readonly cuts: Float64Array // 1 - gain, of the last `window` frames
  private readonly needed: Float64Array // queue of falling needs, with the frame at which each leaves
  private readonly leaves: Float64Array
  private first = 0
  private last = 0
  private frame = 0
  private cut = 0
  private sum = 0
  private active = 0 // frames until the averaging window is surely empty
  private readonly release: number

  constructor(sampleRate: number) {
    this.window = limiterLatency(sampleRate) + 1
    this.delayed = [new Float32Array(this.window), new Float32Array(this.window)]
    this.cuts = new Float64Array(this.window)
    this.needed = new Float64Array(this.window + 1)
    this.leaves = new Float64Array(this.window + 1)
    this.release = Math.exp(-1 / (0.08 * sampleRate))
  }

  /** Limit in place; what comes out is `limiterLatency` frames older than what goes in. */
  run(left: Float32Array, right: Float32Array, frames: number): void {
    const [oldLeft, oldRight] = this.delayed
    for (let i = 0; i < frames; i++) {
      const slot = this.frame % this.window
      const next = (slot + 1) % this.window // the oldest frame that is kept
      const peak = Math.max(Math.abs(left[i]!), Math.abs(right[i]!))
      const gain = 1 - this.average(peak > CEILING ? 1 - CEILING / peak : 0, slot)
      oldLeft[slot] = left[i]!
      oldRight[slot] = right[i]!
      left[i] = gain === 1 ? oldLeft[next]! : clip(oldLeft[next]! * gain)
      right[i] = gain === 1 ? oldRight[next]! : clip(oldRight[next]! * gain)
      this.frame += 1
    }
  }

  /** The cut to apply now, where `need` is what the newest frame asks for. */
  private average(need: number, slot: number): number {
    if (need > 0) this.active = 0
    else if (this.first === this.last && this.cut === 0 && ++this.active > this.window) {
      this.sum = 0 // nothing is held: no rounding may be left behind
      return 0
    }
    const capacity = this.needed.length
    if (this.first !== this.last && this.leaves[this.first]! <= this.frame) this.first = (this.first + 1) % capacity
    if (need > 0) {
      while (this.first !== this.last && this.needed[(this.last + capacity - 1) % capacity]! <= need) {
        this.last = (this.last + capacity - 1) % capacity
      }
      this.needed[this.last] = need
      this.leaves[this.last] = this.frame + this.window
      this.last = (this.last + 1) % capacity
    }
    const most = this.first === this.last ? 0 : this.needed[this.first]!
    const falling = this.cut * this.release
    this.cut = Math.max(most, falling < 1e-6 ? 0 : falling)
    this.sum += this.cut - this.cuts[slot]!
    this.cuts[slot] = this.cut
    return this.sum / this.window
  }
}

/** What rounding may leave above the ceiling. */
function clip(value: number): number {
  return Math.max(-CEILING, Math.min(CEILING, value))
}
