// Command soak runs the built collector for hours under a mixed load of low rate, with restarts, reloads, floods of UDP and a backend that
// stalls. Each request has an id of its own, so that at the end each is found in the spans, or in the counters of what was lost.
package main
