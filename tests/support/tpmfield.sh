# Words for tests of TPMs as they are met in the field; sourced after lab.sh. They are about the TPM and
# device named $unit.
EK=0x81010001 EK2=0x81010002 SRK=0x81000001 SRK2=0x81000002 KEY=0x81000100
storage_attributes='fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt'
ek_attributes='fixedtpm|fixedparent|sensitivedataorigin|adminwithpolicy|restricted|decrypt'

tpm() { lab_tpm2 "$unit" "$@" >/dev/null; }
make() {  # NAME: a TPM with its EK certificate, no keys persistent
  unit=$1
  lab_tpm_make "$unit"; lab_tpm_start "$unit"
  tpm evictcontrol -C o -c 0x81010001
  lab_enroll "$unit" "$unit"
}
boot() {  # STATUS [cradle-device options]: story in $LAB/story.log
  local want=$1 got=0; shift
  lab_device "$unit" --registration-id "${id:-$unit}" --once --payload '{"unit":"'"$unit"'"}' "$@" > "$LAB/story.log" 2>&1 || got=$?
  [ "$got" = "$want" ] || lab_fail "$unit: exit status $got, not $want"
}
says() { grep -q -- "$1" "$LAB/story.log" || lab_fail "$unit: the story does not say: $1"; }
says_not() { ! grep -q -- "$1" "$LAB/story.log" || lab_fail "$unit: the story says: $1"; }
persistent() {  # without 0x81010016, an EK on P-384 that swtpm's factory leaves there
  lab_tpm2 "$unit" getcap handles-persistent | sed 's/^- //' | grep -v 0x81010016 | sort | tr '\n' ' '
}
holds() { [ "$(persistent)" = "$1 " ] || lab_fail "$unit: persistent handles: $(persistent), not $1"; }
nothing_loaded() {
  [ -z "$(lab_tpm2 "$unit" getcap handles-transient)$(lab_tpm2 "$unit" getcap handles-loaded-session)" ] ||
    lab_fail "$unit: something is still loaded"
}
forget() { rm -rf "$LAB/state-$unit"; }
direct() { says 'Storage: assigned to'; says_not challenge; }
primary() {  # HIERARCHY HANDLE [tpm2 createprimary options]: somebody else's key
  local hierarchy=$1 at=$2; shift 2
  tpm createprimary -C "$hierarchy" -c "$LAB/primary.ctx" "$@"
  tpm evictcontrol -C o -c "$LAB/primary.ctx" "$at"
  tpm flushcontext -t
}

# ---- endorsement keys ----
import_key() {  # ID PEM-FILE
  { echo registrationId,endorsementKey; echo "$1,$(lab_csv_quote "$(cat "$2")")"; } > "$LAB/list.csv"
  lab_import "$LAB/list.csv" > "$LAB/import.log" || lab_fail "importing $1"
}
public_of() { tpm readpublic -c "$1" -f pem -o "$2"; }       # HANDLE FILE
stack_ek() {  # an EK as Microsoft's C and Node SDKs make it: the default template, but an empty unique field
  local policy=837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa   # of the default template
  printf '%b' "$(sed 's/../\\x&/g' <<< $policy)" > "$LAB/ek.policy"
  primary e $EK -G rsa2048 -a "$ek_attributes" -L "$LAB/ek.policy"
}
certificate_put() {  # INDEX FILE
  tpm nvdefine -C p -s "$(stat -c %s "$2")" -a 'ppwrite|ppread|ownerread|authread|platformcreate|no_da' "$1"
  tpm nvwrite -C p -i "$2" "$1"
}
certificate_drop() { tpm nvundefine -C p "$1"; }
ecc_certificate() {  # FILE: for the TPM's P-256 EK of the default template; its public in FILE.pem
  tpm createek -G ecc -c "$LAB/ecc.ctx" -u "$1.pem" -f pem
  tpm flushcontext -t
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/ek-ca.key" -out "$LAB/ek-ca.pem" \
    -subj '/CN=a vendor of P-256 keys' 2>/dev/null
  openssl req -new -key "$LAB/ek-ca.key" -subj / -out "$LAB/ek.csr"
  openssl x509 -req -in "$LAB/ek.csr" -force_pubkey "$1.pem" -CA "$LAB/ek-ca.pem" -CAkey "$LAB/ek-ca.key" -set_serial 7 \
    -days 3650 -outform DER -out "$1" 2>/dev/null || lab_fail "no certificate for a P-256 EK"
}
