#!/usr/bin/env bash
# Brings a machine that has only Debian 12, root, git, make and Python 3.11 to where everything runs.
# Installs what is missing and nothing else; a second run with nothing missing ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.installed
wanted=$(cat setup/install.sh setup/debian.txt requirements.lock pyproject.toml proto/dipronn/v1/*.proto | sha256sum)

mapfile -t packages < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' setup/debian.txt)
mapfile -t missing < <(
    dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null |
        awk '$2 == "installed" {print $1}' | sort -u |
        comm -13 - <(printf '%s\n' "${packages[@]}" | sort -u))
if ((${#missing[@]})); then
    if ((EUID != 0)); then
        echo "setup: these Debian packages are missing and only root can install them: ${missing[*]}" >&2
        exit 1
    fi
    echo "setup: installing Debian packages: ${missing[*]}" >&2
    apt_get=(apt-get -qq -o DPkg::Lock::Timeout=600)
    "${apt_get[@]}" update >&2
    DEBIAN_FRONTEND=noninteractive "${apt_get[@]}" install -y --no-install-recommends "${missing[@]}" >&2
fi

if [[ ! -e $stamp || $(<"$stamp") != "$wanted" ]]; then
    echo "setup: installing the locked Python packages into $venv" >&2
    # Debian's own interpreter: python3-bpfcc, which is in no registry, belongs to it.
    [[ -x $venv/bin/python ]] || /usr/bin/python3.11 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements.lock >&2
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    ln -sfn /usr/lib/python3/dist-packages/bcc "$site/bcc"
    setup/generate_api.sh
    "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --no-build-isolation -e . >&2
    printf '%s\n' "$wanted" >"$stamp"
fi
