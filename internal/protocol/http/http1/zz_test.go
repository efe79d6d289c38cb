package http1
import ("testing";"math/rand/v2";"fmt")
func TestZZ(t *testing.T) {
	r := rand.New(rand.NewPCG(110, 7))
	calls := converse(r, 60, 1)
	oneBurst(r, calls); cut(r, calls)
	for i := 75; i <= 87; i++ { c := calls[i-1]; fmt.Printf("%d dir %d lost %v captured %d/%d %q\n", i, c.direction, c.lost, c.captured, len(c.bytes), c.bytes) }
}
