package redact

// The forms of keys and tokens of known services: what they begin with, by the documentation of their issuers, as it is collected in the rules
// of gitleaks 8.30 (config/gitleaks.toml). See docs/decisions/0017-redaction.md.

// forms are beginnings of secrets, by their first character.
var forms = func() (by ['z' + 1][]string) {
	for _, form := range [...]string{
		"AGE-SECRET-KEY-1", "AIza", "AKCp", "ATATT3", "ATCTT3", "ATBB", "ATOA",
		"EAAA", "EAAC", "EAAM", "EZAK", "EZTK", "FLWSECK", "GR1348941", "GOCSPX-", "HRKU-", "LTAI", "NRAK-", "NRAA-", "NRII-", "NRJS-",
		"PMAK-", "PMAT-", "SG.", "ZXlK",
		"clojars_", "dapi", "dckr_pat_", "dckr_oat_", "doo_v1_", "dop_v1_", "dor_v1_", "dp.pt.", "dp.st.", "dp.ct.", "dt0c01.",
		"duffel_", "fio-u-", "fm1a_", "fm1r_", "fm2_", "fo1_",
		"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_",
		"glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glft-", "glffct-", "glimt-", "glagent-", "gloas-", "glsoat-", "glc_", "glsa_",
		"gsk_", "hf_", "hvb.", "hvs.", "hvr.", "api_org_", "lin_api_", "lin_oauth_", "npm_", "ntn_", "ops_eyJ", "p8e-", "pat-na1-",
		"pnu_", "pplx-", "pscale_", "pul-", "pypi-", "rdme_", "rk_live_", "rk_prod_", "rk_test_", "rubygems_", "s-s4t2ud-", "s-s4t2af-",
		"sbp_", "sgp_", "shippo_", "shpat_", "shpca_", "shppa_", "shpss_", "sk-ant-", "sk-proj-", "sk-svcacct-", "sk-admin-", "sk-or-", "sk_live_", "sk_prod_", "sk_test_", "sntrys_", "sntryu_",
		"sq0atp-", "sq0csp-", "tfp_", "tk-us-", "tskey-", "whsec_", "xapp-", "xkeysib-", "xoxa-", "xoxb-", "xoxe-", "xoxe.", "xoxo-",
		"xoxp-", "xoxr-", "xoxs-", "xoxd-", "xoxc-", "ya29.",
	} {
		by[form[0]] = append(by[form[0]], form)
	}
	return by
}()

const (
	shortestForm   = 20 // bytes of the shortest secret that is known by its form
	shortestRandom = 24 // of a random text anywhere in a query
	shortestGuard  = 12 // of a random text after the name of what it guards
	longGuard      = 16 // of any text there that is no word
	longestStart   = 40 // bytes of a run that are compared
	uuidLength     = 36
	telegramSecret = 30 // bytes of the second part of a key of Telegram's bots; at least
)

// run is a text without separators: letters, digits, "-", "_", "." and "~".
type run struct {
	from   int // in the scanned text
	start  [longestStart]byte
	length int
	before byte // the latest character

	digits, uppers, lowers int
	switches               int // between a digit and a letter
	capitals               int // after a capital letter
	humps                  int // capital letters after a small one
	dots                   int
	others                 int // none of the above
	upperDigits            int // of the first shortestForm characters
}

func isRunByte(c byte) bool {
	return isLower(c) || isUpper(c) || isDigit(c) || c == '-' || c == '_' || c == '.' || c == '~'
}

func (r *run) add(c byte, at int) {
	if r.length == 0 {
		*r = run{from: at}
	}
	if r.length < longestStart {
		r.start[r.length] = c
	}
	switch {
	case isDigit(c):
		r.digits++
		if isLower(r.before | 0x20) {
			r.switches++
		}
	case isUpper(c):
		r.uppers++
		if isUpper(r.before) {
			r.capitals++
		}
		if isLower(r.before) {
			r.humps++
		}
		if isDigit(r.before) {
			r.switches++
		}
	case isLower(c):
		r.lowers++
		if isDigit(r.before) {
			r.switches++
		}
	case c == '.':
		r.dots++
	default:
		r.others++
	}
	if r.length < shortestForm && (isDigit(c) || isUpper(c)) {
		r.upperDigits++
	}
	r.length++
	r.before = c
}

func (r *run) text() []byte { return r.start[:min(r.length, longestStart)] }

// isKnown reports whether the run has the form of a token or a key of a known service.
func (r *run) isKnown() bool {
	if r.length < shortestForm {
		return false
	}
	text := r.text()
	if text[0] > 'z' {
		return false
	}
	switch string(text[:3]) {
	case "eyJ": // a JSON Web Token: base64 of an object; with one part only it is any JSON
		return r.dots > 0
	case "AKI", "ASI", "ABI", "ACC", "A3T": // an access key of AWS
		return r.upperDigits == shortestForm
	}
	for _, form := range forms[text[0]] {
		if string(text[:len(form)]) == form && r.isMixed() {
			return true
		}
	}
	return false
}

// isMixed reports whether the run is more than words in small letters, or a number: it has letters and digits, or letters in both cases.
func (r *run) isMixed() bool {
	return r.uppers+r.lowers > 0 && r.digits > 0 || r.uppers > 0 && r.lowers > 0
}

// isRandom reports whether the run looks as if it was drawn by lot. In a random text a digit and a letter follow each other often, and so do
// two capital letters and a small and a capital one; words, names in any style, dates and numbers have few of these.
func (r *run) isRandom(shortest int) bool {
	if r.length < shortest {
		return false
	}
	few := max(2, r.length/8)
	return r.switches >= few || r.capitals >= few && r.humps >= few
}

// isUUID reports whether the run is a UUID in its usual form (RFC 9562, 4).
func (r *run) isUUID() bool {
	if r.length != uuidLength {
		return false
	}
	for i, c := range r.text() {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && hexDigit(c) > 15 {
			return false
		}
	}
	return true
}

// isGuarded reports whether the run, whose place says that it guards something, is a secret.
func (r *run) isGuarded() bool {
	return r.isRandom(shortestGuard) || r.isUUID() || r.length >= longGuard && r.isMixed()
}

// isBot reports whether the run is the first part of a key of Telegram's bots, which ends before a colon.
func (r *run) isBot() bool {
	digits := r.text()
	if len(digits) > 3 && string(digits[:3]) == "bot" {
		digits = digits[3:]
	}
	return len(digits) >= 6 && len(digits) <= 14 && isNumber(digits)
}

// same compares a text with one in small letters.
func same(text []byte, lower string) bool {
	if len(text) != len(lower) {
		return false
	}
	for i, c := range text {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}
