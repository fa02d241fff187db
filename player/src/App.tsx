/** The page: what is always there, and the view in it. */

import { Suspense, lazy, useEffect, useRef } from 'react'
import { Add } from './add/Add'
import { DropAnywhere } from './add/DropAnywhere'
import { connected, listen } from './api/live'
import { Library } from './library/Library'
import { fetchPart } from './lib/parts'
import { useRoute, useTitle, type Route } from './lib/route'
import { createStore, useStore } from './lib/store'
import { Boundary } from './ui/Boundary'
import { Link } from './ui/Link'
import { ThemeSwitch } from './ui/ThemeSwitch'
import { Notes } from './ui/surfaces'

/** A view of its own file, fresh: React keeps what became of an older one, failures too. */
const songView = () => ({ SongView: lazy(() => fetchPart(() => import('./song/SongView'))) })
const songViews = createStore(songView())
const fleetView = () => ({ FleetView: lazy(() => fetchPart(() => import('./fleet/FleetView'))) })
const fleetViews = createStore(fleetView())

export function App() {
  const route = useRoute()
  const part = useStore(songViews)
  const fleet = useStore(fleetViews)
  const main = useArrival(route)
  useEffect(listen, [])
  return (
    <>
      {route.view !== 'song' && <Header />}
      <main ref={main} tabIndex={-1} className="outline-none">
        {route.view === 'library' && <Library />}
        {route.view === 'add' && <Add />}
        {route.view === 'song' && (
          <Boundary key={route.id} onRetry={() => songViews.set(songView())}>
            <Suspense fallback={null}>
              <part.SongView id={route.id} />
            </Suspense>
          </Boundary>
        )}
        {route.view === 'fleet' && (
          <Boundary onRetry={() => fleetViews.set(fleetView())}>
            <Suspense fallback={null}>
              <fleet.FleetView />
            </Suspense>
          </Boundary>
        )}
        {route.view === 'nowhere' && <Nowhere />}
      </main>
      <DropAnywhere />
      <Offline />
      <Notes />
    </>
  )
}

/** Takes the keyboard, and with it a screen reader, to a view that was just opened. */
function useArrival(route: Route) {
  const main = useRef<HTMLElement>(null)
  const before = useRef(route.view)
  useEffect(() => {
    if (before.current !== route.view) main.current?.focus({ preventScroll: true })
    before.current = route.view
  }, [route.view])
  return main
}

function Header() {
  return (
    <header className="mx-auto flex h-16 max-w-6xl items-center justify-between px-4 sm:px-8">
      <Link to="/" className="flex items-center gap-3 rounded-lg font-semibold tracking-tight">
        <Mark />
        Stemwright
      </Link>
      <ThemeSwitch />
    </header>
  )
}

function Mark() {
  return (
    <svg viewBox="0 0 24 24" className="size-6" aria-hidden>
      <g strokeWidth="2.6" strokeLinecap="round">
        <path d="M4 9v6" stroke="var(--role-vocals)" />
        <path d="M9.3 4v16" stroke="var(--role-drums)" />
        <path d="M14.6 7v10" stroke="var(--role-bass)" />
        <path d="M20 10v4" stroke="var(--role-other)" />
      </g>
    </svg>
  )
}

function Offline() {
  const heard = useStore(connected)
  return (
    <div role="status" className="pointer-events-none fixed inset-x-0 top-4 z-50 flex justify-center">
      {!heard && (
        <div className="flex items-center gap-2.5 rounded-full border border-line bg-raised px-4 py-2 text-sm shadow-float">
          <span className="size-2 animate-pulse rounded-full bg-warn" />
          The studio does not answer. Trying again …
        </div>
      )}
    </div>
  )
}

function Nowhere() {
  useTitle('Nothing here')
  return (
    <div className="mx-auto max-w-6xl px-4 py-24 sm:px-8">
      <h1 className="text-2xl font-semibold tracking-tight">There is nothing here</h1>
      <p className="mt-2 text-soft">
        This address leads nowhere.{' '}
        <Link to="/" className="underline underline-offset-4">
          Back to your songs
        </Link>
      </p>
    </div>
  )
}
