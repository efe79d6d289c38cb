package conversation

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

// TestAccountKnowsWhatAParserHasNotGot: of what it has wanted, and nothing else.
func TestAccountKnowsWhatAParserHasNotGot(t *testing.T) {
	s := newScene(event.RoleClient, false)
	s.conv.Data(sent(0, "ask>skip"))
	s.conv.Data(received(0, ">ans"))
	s.conv.Data(received(50_000, "later")) // it has wanted nothing of the bytes before
	followed, lost := s.conv.Account()
	assert.EqualValues(t, 8+50_005, followed)
	assert.Zero(t, lost)

	s.conv.Data(sent(8+100, "ask>")) // 100 bytes are missing
	followed, lost = s.conv.Account()
	assert.EqualValues(t, 8+104+50_005, followed)
	assert.EqualValues(t, 100, lost)
}
