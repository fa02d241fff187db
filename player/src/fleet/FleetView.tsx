/** What goes on in the whole studio, for those who run it: nothing can be changed here. */

import type { ReactNode } from 'react'
import { ApiError, type FleetState } from '../api/client'
import { useFleet } from '../api/queries'
import { useTitle } from '../lib/route'
import { Link } from '../ui/Link'
import { short } from './times'

type Run = FleetState['runs'][number]
type Worker = FleetState['workers'][number]

export default function FleetView() {
  useTitle('Fleet')
  const { data, error } = useFleet()
  return (
    <div className="mx-auto max-w-6xl space-y-8 px-4 pb-24 sm:px-8">
      <h1 className="text-2xl font-semibold tracking-tight">Fleet</h1>
      {error && !data ? <Why error={error} /> : data ? <State state={data} /> : <p className="text-soft">Looking …</p>}
    </div>
  )
}

function Why({ error }: { error: Error }) {
  const hidden = error instanceof ApiError && error.status === 404
  return (
    <p className="text-soft" role="alert">
      {hidden ? (
        <>
          This page is off. The operator turns it on with the setting <code>fleet.page: true</code>.
        </>
      ) : (
        error.message
      )}
    </p>
  )
}

function State({ state }: { state: FleetState }) {
  const workers = state.workers.filter((one) => one.queue !== 'keeper')
  const live = workers.filter((one) => one.state === 'live').length
  const ended = state.ended_in_hour
  const oldest = state.oldest_seconds === null ? '' : `the first for ${short(state.oldest_seconds)}`
  return (
    <>
      <dl className="grid grid-cols-2 gap-3 sm:grid-cols-4">
        <Figure name="Workers" value={state.database === 'sqlite' ? 'this machine' : String(live)} />
        <Figure name="Running" value={String(state.runs.length)} />
        <Figure name="Waiting" value={String(waiting(state))} note={oldest} />
        <Figure name="Last hour" value={`${ended.succeeded ?? 0} done`} note={`${ended.failed ?? 0} failed, ${ended.cancelled ?? 0} cancelled`} />
      </dl>
      <Part title="Queues" heads={['Queue', 'Slots', 'Running', 'High', 'Normal', 'Low']}>
        {Object.entries(state.queues.queues).map(([name, queue]) => (
          <Row key={name} cells={[name, queue.slots, queue.running, queue.queued.high, queue.queued.normal, queue.queued.low]} />
        ))}
      </Part>
      <Part title="Running now" heads={['Song', 'Model', 'Stage', 'Since', 'Attempts', 'Worker']} empty="No song is being taken apart.">
        {state.runs.map((run) => (
          <Row key={`${run.song_id} ${run.worker} ${run.model}`} cells={[<Song key="song" run={run} />, run.model, <Progress key="stage" run={run} />, short(run.seconds), run.attempts, run.worker]} />
        ))}
      </Part>
      <Part title="Processes" heads={['Process', 'Queue', 'Device', 'Models', 'State', 'Up for', 'Edition']} empty="One process beside the server does all the work.">
        {state.workers.map((one) => (
          <Row key={one.id} cells={[one.id, one.queue, one.device, one.models || '', <Standing key="state" worker={one} />, short(since(one.started_at)), one.release]} />
        ))}
      </Part>
      <Part title="Failures" heads={['When', 'Song', 'Model', 'Why', 'Worker']} empty="None.">
        {state.failures.map((one) => (
          <Row key={`${one.at} ${one.title} ${one.worker}`} cells={[`${short(since(one.at))} ago`, one.title, one.model, `${one.message} (${one.code})`, one.worker]} />
        ))}
      </Part>
      <p className="text-sm text-soft">
        Rows are in {state.database === 'sqlite' ? 'SQLite' : 'PostgreSQL'}, files in a {state.storage}.
      </p>
    </>
  )
}

function waiting(state: FleetState): number {
  return Object.values(state.queues.queues).reduce((sum, { queued }) => sum + (queued.high ?? 0) + (queued.normal ?? 0) + (queued.low ?? 0), 0)
}

function since(moment: string): number {
  return Math.max(0, (Date.now() - Date.parse(moment)) / 1000)
}

function Figure({ name, value, note = '' }: { name: string; value: string; note?: string }) {
  return (
    <div className="rounded-xl border border-line bg-raised px-4 py-3">
      <dt className="text-sm text-soft">{name}</dt>
      <dd className="text-xl font-semibold tabular-nums">{value}</dd>
      {note && <dd className="text-sm text-soft">{note}</dd>}
    </div>
  )
}

function Part({ title, heads, empty = '', children }: { title: string; heads: string[]; empty?: string; children: ReactNode[] }) {
  return (
    <section className="space-y-2">
      <h2 className="font-semibold">{title}</h2>
      {children.length === 0 ? (
        <p className="text-soft">{empty}</p>
      ) : (
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reached by the keyboard
        <div className="overflow-x-auto rounded-xl border border-line bg-raised" tabIndex={0} role="region" aria-label={title}>
          <table className="w-full text-left text-sm tabular-nums">
            <thead className="text-soft">
              <tr>
                {heads.map((head) => (
                  <th key={head} scope="col" className="px-4 py-2 font-normal whitespace-nowrap">
                    {head}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>{children}</tbody>
          </table>
        </div>
      )}
    </section>
  )
}

function Row({ cells }: { cells: ReactNode[] }) {
  return (
    <tr className="border-t border-line">
      {cells.map((cell, at) => (
        <td key={at} className="max-w-md px-4 py-2 align-top">
          {cell}
        </td>
      ))}
    </tr>
  )
}

function Song({ run }: { run: Run }) {
  if (!run.song_id) return 'deleted'
  return (
    <Link to={`/songs/${run.song_id}`} className="underline underline-offset-4">
      {run.title}
    </Link>
  )
}

function Progress({ run }: { run: Run }) {
  return (
    <span className="whitespace-nowrap">
      {run.stage} {Math.floor(run.progress)} %
    </span>
  )
}

const WORDS = { live: 'alive', silent: 'silent', left: 'left' }
const COLOURS = { live: 'bg-good', silent: 'bg-warn', left: 'bg-strong' }

function Standing({ worker }: { worker: Worker }) {
  return (
    <span className="flex items-center gap-2 whitespace-nowrap">
      <span className={`size-2 rounded-full ${COLOURS[worker.state]}`} aria-hidden />
      {WORDS[worker.state]}
      {worker.state !== 'live' && `, ${short(worker.silent_seconds)} ago`}
    </span>
  )
}
