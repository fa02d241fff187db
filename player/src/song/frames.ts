/** What moves: position and levels, read once for each frame, and given to whoever draws them without React. */

import type { Engine } from '../engine/types'

export type Levels = ReturnType<Engine['levels']>
export type Draw = (position: number, levels: Levels) => void

const AFTER = 1_200 // ms for which frames are drawn after the last change: meters fall

export class Frames {
  private readonly draws = new Set<Draw>()
  private frame = 0
  private until = 0

  constructor(private readonly engine: Engine) {}

  /** Draws from now on; returns what ends it. */
  add(draw: Draw): () => void {
    this.draws.add(draw)
    this.kick()
    return () => this.draws.delete(draw)
  }

  /** Something changed: draws while the song plays, and a little longer. */
  kick(): void {
    this.until = performance.now() + AFTER
    if (!this.frame) this.frame = requestAnimationFrame(this.step)
  }

  stop(): void {
    cancelAnimationFrame(this.frame)
    this.frame = 0
  }

  private readonly step = (): void => {
    const { status } = this.engine.state
    const [position, levels] = [this.engine.position(), this.engine.levels()]
    for (const draw of this.draws) draw(position, levels)
    const moving = status === 'playing' || status === 'buffering' || performance.now() < this.until
    this.frame = moving ? requestAnimationFrame(this.step) : 0
  }
}
