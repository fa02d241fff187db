/** The state of all jobs, pushed; connects again by itself, and then asks for what it missed. */

import { createStore } from '../lib/store'
import { API, type Job } from './client'
import { refresh, tellJob } from './queries'

const SLOWEST = 5_000 // ms between two tries
const PATIENCE = 1_500 // ms without a connection after which the user is told

/** Whether the studio can be heard; short gaps do not count. */
export const connected = createStore(true)

/** Listens for as long as the page lives. */
export function listen(): () => void {
  let socket: WebSocket | null = null
  let tries = 0
  let [again, worry] = [0, 0]
  let over = false

  function open(): void {
    clearTimeout(again)
    socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${API}/ws`)
    socket.addEventListener('open', () => {
      clearTimeout(worry)
      tries = 0
      connected.set(true)
      refresh()
    })
    socket.addEventListener('message', (event) => {
      const told = JSON.parse(String(event.data)) as Job | { code: string }
      if ('id' in told) tellJob(told)
    })
    socket.addEventListener('close', () => {
      if (over) return
      if (tries === 0) worry = window.setTimeout(() => connected.set(false), PATIENCE)
      tries += 1
      again = window.setTimeout(open, Math.min(250 * 2 ** tries, SLOWEST))
    })
  }

  /** A laptop that wakes up does not wait for its turn. */
  function hurry(): void {
    if (!over && socket?.readyState === WebSocket.CLOSED) open()
  }

  open()
  window.addEventListener('online', hurry)
  document.addEventListener('visibilitychange', hurry)
  return () => {
    over = true
    clearTimeout(again)
    clearTimeout(worry)
    window.removeEventListener('online', hurry)
    document.removeEventListener('visibilitychange', hurry)
    socket?.close()
  }
}
