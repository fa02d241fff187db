/** Level meters: peak and mean square since they were last read. */

export interface Level {
  peak: number // amplitude
  squares: number // sum over both channels
  frames: number
}

export class Meter {
  private peak = 0
  private squares = 0
  private frames = 0

  add(left: Float32Array, right: Float32Array, frames: number): void {
    let { peak, squares } = this
    for (let i = 0; i < frames; i++) {
      const l = left[i]!
      const r = right[i]!
      peak = Math.max(peak, Math.abs(l), Math.abs(r))
      squares += l * l + r * r
    }
    this.peak = peak
    this.squares = squares
    this.frames += frames
  }

  /** What was measured; starts anew. */
  take(): Level {
    const level = { peak: this.peak, squares: this.squares, frames: this.frames }
    this.peak = this.squares = this.frames = 0
    return level
  }
}

/** Two readings as one. */
export function joined(one: Level, other: Level): Level {
  return {
    peak: Math.max(one.peak, other.peak),
    squares: one.squares + other.squares,
    frames: one.frames + other.frames,
  }
}
