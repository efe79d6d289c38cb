// Command causality measures how many causes within processes are found, and how many of those found are right. For each runtime it
// starts a small service, a backend and a load, and compares the spans that the built collector emits with the truth: the service makes
// its calls for the request /r/<id> at /c/<id>/<number>, so each CLIENT span has exactly one right parent.
package main
