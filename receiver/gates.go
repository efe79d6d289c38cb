package receiver

import "go.opentelemetry.io/collector/featuregate"

// stableAddressAttributes is for those who need time for the change of a default. Without it address_attributes is what it was.
var stableAddressAttributes = featuregate.GlobalRegistry().MustRegister("receiver.socketflow.stableAddressAttributes", featuregate.StageBeta,
	featuregate.WithRegisterDescription("The default of the key address_attributes is stable; it is both if this gate is disabled."),
	featuregate.WithRegisterFromVersion("v0.1.0"))

func defaultAddressAttributes() AddressAttributes {
	if stableAddressAttributes.IsEnabled() {
		return AddressAttributesStable
	}
	return AddressAttributesBoth
}
