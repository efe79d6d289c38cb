package socket

import (
	"testing"

	"github.com/socketflow/socketflow/internal/event"
)

func TestEndOf(t *testing.T) {
	for _, test := range []struct {
		state event.State
		errno uint32
		want  End
	}{
		{event.StateFinWait2, 0, End{WayFIN, SideLocal}},
		{event.StateLastAck, 0, End{WayFIN, SideRemote}},
		{event.StateClosing, 0, End{WayFIN, SideLocal}},
		{event.StateEstablished, 0, End{WayRST, SideLocal}},
		{event.StateCloseWait, 0, End{WayRST, SideLocal}},
		{event.StateFinWait1, 0, End{WayRST, SideLocal}},
		{event.StateEstablished, errnoConnReset, End{WayRST, SideRemote}},
		{event.StateCloseWait, errnoPipe, End{WayRST, SideRemote}},
		{event.StateEstablished, errnoConnAborted, End{WayRST, SideLocal}},
		{event.StateFinWait1, errnoTimedOut, End{WayTimeout, SideRemote}},
		{event.StateEstablished, 113, End{WayError, SideUnknown}},
		{event.StateListen, 0, End{}},
	} {
		if got := endOf(&event.Ending{LastState: test.state, Errno: test.errno}); got != test.want {
			t.Errorf("from state %d with errno %d: %v, want %v", test.state, test.errno, got, test.want)
		}
	}
}
