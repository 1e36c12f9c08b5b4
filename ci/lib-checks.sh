# Sourced by ci/test: what can be said about the tree without running it. Each check prints what is wrong
# and returns 1; static_checks runs all and closes with one count.

tracked() { git -c safe.directory='*' ls-files -- "$@"; }

check_layout() {
    local said
    said=$(tracked '*.c' '*.h' | xargs -r clang-format --dry-run -Werror 2>&1) && return
    sed -n 's/^\([^ :]*\):\([0-9]*\):.*/\1 \2/p' <<<"$said" |
        awk '!seen[$1]++ { print $1 ": line " $2 " and perhaps others; clang-format -i mends it" }'
    return 1
}

check_scripts() {
    local file first bad=0
    while read -r file; do
        [ -f "$file" ] || continue
        first=$(head -c 64 "$file" | head -n 1 | tr -d '\0')
        case $file:$first in
        *:'#!'*bash | *:'#!'*/sh | *.sh:*) bash -n "$file" || bad=1 ;;
        *:'#!'*python3 | *.py:*) python3 -c 'import ast,sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file" || bad=1 ;;
        *) continue ;;
        esac
        case $first in '#!'*) [ -x "$file" ] || { echo "$file: begins with #! and is not executable" && bad=1; } ;; esac
    done < <(tracked ci tests .ci)
    return $bad
}

# Source folders down to two levels; a test part below that is described by its suite's README.
check_readmes() {
    local folder lines bad=0
    while read -r folder; do
        if [ ! -f "$folder/README.md" ]; then
            echo "$folder: no README.md" && bad=1
        elif lines=$(wc -l <"$folder/README.md") && [ "$lines" -gt 30 ]; then
            echo "$folder/README.md: $lines lines, 30 at most" && bad=1
        fi
    done < <({
        tracked runtime kernels launcher configs tests ci | xargs -n 1 dirname | cut -d/ -f1-2 | grep -v '^ci/cmake$'
        printf '%s\n' runtime kernels launcher configs tests ci
    } | sort -u)
    return $bad
}

# layers_used MODULE FOLDER: the layers whose headers the sources there include.
layers_used() {
    tracked "$2/*.c" "$2/*.h" | xargs -r sed -n 's/^ *# *include *"\([a-z]*\)\/.*/\1/p' | sort -u
}

# Every include against the table in ci/cmake/modules.cmake, and then the table's own guard: a small project
# whose lower module asks for a higher one must not configure, and one that only includes it must not compile.
check_layers() {
    local module folder used allowed bad=0 layers
    layers=$(sed -n 's/^set(ECH_LAYERS \(.*\))/\1/p' ci/cmake/modules.cmake)
    for module in $layers; do
        folder=runtime/$module
        [ "$module" != kernels ] || folder=kernels
        allowed=" $module $(sed -n "s/^set(ECH_ALLOWED_$module \(.*\))/\1/p" ci/cmake/modules.cmake) "
        for used in $(layers_used "$module" "$folder"); do
            case " $layers " in *" $used "*) ;; *) continue ;; esac
            case $allowed in *" $used "*) ;; *) echo "layers: $folder includes $used/ (allowed:$allowed)" && bad=1 ;; esac
        done
    done
    try_layers || bad=1
    return $bad
}

try_layers() {
    local work bad=0 m
    work=$(mktemp -d)
    for m in base comm; do
        mkdir "$work/$m"
        echo "int $m(void);" >"$work/$m/$m.h"
        printf '#include "%s/%s.h"\nint %s(void) { return 0; }\n' $m $m $m >"$work/$m/$m.c"
    done
    echo 'ech_module(NAME comm SOURCES comm.c USES base)' >"$work/comm/CMakeLists.txt"
    cat >"$work/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(layers C)
include($root/ci/cmake/modules.cmake)
add_subdirectory(base)
add_subdirectory(comm)
CMAKE
    local use_none='ech_module(NAME base SOURCES base.c)' use_comm='ech_module(NAME base SOURCES base.c USES comm)'
    build_layers "$work" "$use_none" || { echo "layers: a downward dependency did not build" && bad=1; }
    if build_layers "$work" "$use_comm"; then
        echo "layers: an upward dependency was accepted" && bad=1
    elif ! grep -q 'layers: base may not use comm' "$work/log"; then
        echo "layers: an upward dependency failed without its message" && bad=1
    fi
    sed -i '1i #include "comm/comm.h"' "$work/base/base.c"
    if build_layers "$work" "$use_none"; then
        echo "layers: an upward include compiled" && bad=1
    fi
    rm -rf "$work"
    return $bad
}

build_layers() { # FOLDER BASE'S-CMAKELISTS
    echo "$2" >"$1/base/CMakeLists.txt"
    rm -rf "$1/build"
    cmake -G Ninja -S "$1" -B "$1/build" >"$1/log" 2>&1 && cmake --build "$1/build" >>"$1/log" 2>&1
}

# The launcher runs on login nodes; nothing there may be missing to start it.
check_launcher() {
    [ -x build/bin/echelon ] || return 0
    if ldd build/bin/echelon | grep -E 'libmpi|libopen-|libhdf5|libcu|libopenblas'; then
        echo "build/bin/echelon links what a login node may lack"
        return 1
    fi
}

# The top level is fixed; what a test leaves there by hand must not be committed.
check_top() {
    local strange
    strange=$(tracked | cut -d/ -f1 | sort -u |
        grep -vxE '\.ci|\.clang-format|\.gitignore|CMakeLists\.txt|LICENSE|README\.md|ci|configs|kernels|launcher|runtime|tests' || true)
    [ -z "$strange" ] || { echo "the top level has: $strange"; return 1; }
}

static_checks() {
    local check passed=0 failed=0 said
    for check in top layout scripts readmes layers launcher; do
        if said=$("check_$check" 2>&1); then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            printf '%s: failed\n%s\n' "$check" "$said"
        fi
    done
    echo "static: $passed passed, $failed failed"
    [ $failed = 0 ]
}
