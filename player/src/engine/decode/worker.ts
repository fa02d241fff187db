/** The decoding worker: messages to the feeder. */

import type { FeederCommand, FeederEvent, Place } from '../messages'
import { Feeder } from './feeder'

let feeder: Feeder | null = null

const tell = (event: FeederEvent) => self.postMessage(event)

function start({ port, ...song }: Extract<FeederCommand, { type: 'start' }>): void {
  feeder = new Feeder(song, (message, transfer) => port.postMessage(message, transfer), tell)
  port.onmessage = ({ data }: MessageEvent<Place>) => feeder?.reach(data.seek, data.position)
}

self.onmessage = ({ data }: MessageEvent<FeederCommand>) => {
  if (data.type === 'start') start(data)
  else if (data.type === 'open') void feeder?.open(data.reel, data.sources)
  else if (data.type === 'close') feeder?.close(data.reel)
  else if (data.type === 'seek') feeder?.jump(data.seek, data.position)
  else feeder?.setLoop(data.loop)
}
