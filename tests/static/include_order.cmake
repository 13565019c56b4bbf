#Reads the includes of every header and of every compiled source, and fails on an arrow that goes back, \
    on another folder's detail, on torch/torch.h where it is
#not allowed, on JSON where a header's job is neither a file nor a configuration, on a header that has outgrown one idea, and on an
#umbrella that lacks a public header or lists a private one.
#cmake - D INCLUDE_DIR = < folder that holds kvtransfer / >[-D SOURCE_DIR = \
                                                                < folder that holds model / >] - P include_order.cmake

#A folder may include itself and those to its left.
set(order core tensor rope cache inject project model experiment)

#But a projector works on caches, whoever wrote them, and a model runs without one : these two stand beside each other.
    set(may_not_know "model project")

#Among compiled sources, kernels work on tensors and their rotations; a model may share a kernel's private arithmetic.
        set(source_order core tensor rope kernels cache inject project model experiment)

#torch / torch.h takes 15 s to compile.Only what trains a model needs its optimisers and modules.
            set(may_include_all_of_torch "^(model|project|experiment)/(.*/)?train[a-z_]*\\.hpp$")

#nlohmann / json.hpp costs a program a second to compile : only who reads files or configurations pays for it.
                set(may_show_json
                    "^(core/json_|tensor/safetensors|rope/(rotary_embedding|type_parameters|type_registry)\\.hpp|rope/"
                    "types/|cache/file/|"
                    "project/projector_file\\.hpp|model/(config_json|weights/gguf_config)\\.hpp)")
                    list(JOIN may_show_json "" may_show_json)

                        set(most_lines 400)

                            function(complain file complaint)
                                message(NOTICE "${file}: ${complaint}") #an error would be broken into lines of its own
    set_property(GLOBAL APPEND PROPERTY complaints "${file}") endfunction()

        function(report header complaint) complain(
            "include/kvtransfer/${header}"
            "${complaint}") endfunction()

            function(check_arrow header from included) string(REGEX REPLACE
                                                              "/.*"
                                                              "" to "${included}")
                string(REGEX REPLACE
                       "(^|/)detail/.*"
                       "/" owner "${included}") #whose detail it is;
itself where it is public string(FIND
                                 "${header}"
                                 "${owner}" within) list(FIND order "${from}" from_rank)
    list(FIND order "${to}" to_rank) if (to_rank EQUAL - 1) report(
        "${header}"
        "includes kvtransfer/${included}, which lies in none of: ${order}")
        elseif(to_rank GREATER from_rank OR "${from} ${to}" IN_LIST may_not_know) report(
            "${header}"
            "includes kvtransfer/${included}, but ${from} may not know ${to}")
            elseif(NOT owner STREQUAL included AND NOT within EQUAL 0) report(
                "${header}"
                "includes kvtransfer/${included}, which is private to ${owner}")
                elseif(NOT EXISTS "${INCLUDE_DIR}/kvtransfer/${included}") report(
                    "${header}"
                    "includes kvtransfer/${included}, which does not exist") elseif(included MATCHES "\\.ipp$")
                    get_filename_component(definitions "${included}" NAME_WE) if (
                        NOT header STREQUAL "${owner}${definitions}.hpp" AND NOT header STREQUAL
                                            "${owner}detail/${definitions}.hpp")
                        report(
                            "${header}"
                            "includes kvtransfer/${included}: definitions are included by the header that declares "
                            "them, and by nobody else") endif() endif() endfunction()

#By which headers, the first to the last, `header` comes to include JSON; empty where it does not.
                            function(find_json header result) get_property(
                                known GLOBAL PROPERTY
                                "json_of_${header}" SET) if (NOT known) set_property(GLOBAL PROPERTY
                                                                                     "json_of_${header}"
                                                                                     "") if (EXISTS
                                                                                             "${INCLUDE_DIR}/"
                                                                                             "kvtransfer/${header}")
                                file(STRINGS "${INCLUDE_DIR}/kvtransfer/${header}" lines REGEX "^ *# *include") foreach (
                                    line IN LISTS
                                        lines) if (line MATCHES
                                                   "[<\"]nlohmann/") set_property(GLOBAL PROPERTY
                                                                                  "json_of_${header}"
                                                                                  "${header}") elseif(line MATCHES
                                                                                                      "[<\"]kvtransfer/"
                                                                                                      "([^\">]+)[\">]")
                                    find_json("${CMAKE_MATCH_1}" deeper) if (deeper) set_property(
                                        GLOBAL PROPERTY
                                        "json_of_${header}"
                                        "${header}"
                                        "${deeper}") endif() endif() endforeach() endif() endif() get_property(found
                                                                                                                   GLOBAL PROPERTY
                                                                                                               "json_"
                                                                                                               "of_${"
                                                                                                               "header"
                                                                                                               "}") set($ {
                                      result
                                    } "${found}" PARENT_SCOPE) endfunction()

                                        function(check_header header) string(REGEX REPLACE
                                                                             "/.*"
                                                                             "" folder
                                                                             "${header}") if (NOT folder IN_LIST order)
                                            report(
                                                "${header}"
                                                "lies in none of: ${order}") return () endif()
                                                file(STRINGS
                                                     "${INCLUDE_DIR}/kvtransfer/${header}" includes REGEX
                                                     "^ *# *include") foreach (include IN LISTS
                                                                                   includes) if (include MATCHES
                                                                                                 "[<\"]kvtransfer/"
                                                                                                 "([^\">]+)[\">]")
                                                    check_arrow(
                                                        "${header}"
                                                        "${folder}"
                                                        "${CMAKE_MATCH_1}") elseif(NOT header MATCHES
                                                                                   "${may_include_all_of_torch}" AND
                                                                                       include MATCHES
                                                                                   "[<\"]((torch/torch|torch/all|ATen/"
                                                                                   "ATen)\\.h)[\">]")
                                                        report(
                                                            "${header}"
                                                            "includes ${CMAKE_MATCH_1}; include the narrow "
                                                            "ATen/ops/*.h that it uses") endif()
                                                            endforeach() if (
                                                                NOT header MATCHES
                                                                "(^|/)detail/" AND NOT header MATCHES
                                                                "${may_show_json}") find_json("${header}" path) if (path)
                                                                list(JOIN path " > " path) report(
                                                                    "${header}"
                                                                    "shows JSON (${path}), but its job is neither a "
                                                                    "file nor a configuration") endif() endif() file(READ
                                                                                                                     "$"
                                                                                                                     "{"
                                                                                                                     "I"
                                                                                                                     "N"
                                                                                                                     "C"
                                                                                                                     "L"
                                                                                                                     "U"
                                                                                                                     "D"
                                                                                                                     "E"
                                                                                                                     "_"
                                                                                                                     "D"
                                                                                                                     "I"
                                                                                                                     "R"
                                                                                                                     "}"
                                                                                                                     "/"
                                                                                                                     "k"
                                                                                                                     "v"
                                                                                                                     "t"
                                                                                                                     "r"
                                                                                                                     "a"
                                                                                                                     "n"
                                                                                                                     "s"
                                                                                                                     "f"
                                                                                                                     "e"
                                                                                                                     "r"
                                                                                                                     "/"
                                                                                                                     "$"
                                                                                                                     "{"
                                                                                                                     "h"
                                                                                                                     "e"
                                                                                                                     "a"
                                                                                                                     "d"
                                                                                                                     "e"
                                                                                                                     "r"
                                                                                                                     "}" text)
                                                                    string(REGEX MATCHALL "\n" newlines "${text}") list(LENGTH newlines lines) if (lines GREATER most_lines) report(
                                                                        "${header}"
                                                                        "has ${lines} lines; past ${most_lines} it "
                                                                        "wants splitting") endif() endfunction()

# `source` below SOURCE_DIR : private headers and public ones in one order.
                                                                        function(check_source source) string(
                                                                            REGEX REPLACE
                                                                            "/.*"
                                                                            "" from
                                                                            "${source}") list(FIND source_order
                                                                                              "${from}" from_rank)
                                                                            file(
                                                                                STRINGS
                                                                                "${SOURCE_DIR}/${source}" includes REGEX
                                                                                "^ *# *include")
                                                                                foreach (include IN LISTS includes) if (
                                                                                    include MATCHES
                                                                                    "\"(kvtransfer/)?([a-z]+)/") set(to
                                                                                                                     "$"
                                                                                                                     "{"
                                                                                                                     "C"
                                                                                                                     "M"
                                                                                                                     "A"
                                                                                                                     "K"
                                                                                                                     "E"
                                                                                                                     "_"
                                                                                                                     "M"
                                                                                                                     "A"
                                                                                                                     "T"
                                                                                                                     "C"
                                                                                                                     "H"
                                                                                                                     "_"
                                                                                                                     "2"
                                                                                                                     "}") list(FIND source_order
                                                                                                                               "${to}" to_rank) if (to_rank
                                                                                                                                                        GREATER from_rank OR
                                                                                                                                                    "${from} ${to}" IN_LIST
                                                                                                                                                        may_not_know)
                                                                                    complain(
                                                                                        "src/${source}"
                                                                                        "${include}, but ${from} may "
                                                                                        "not know ${to}") endif() endif() endforeach() endfunction()

#An umbrella lists the public headers of its `folders`, and nothing else.The further arguments are all headers.
                                                                                        function(
                                                                                            check_umbrella umbrella
                                                                                                folders) list(JOIN folders
                                                                                                              "|" any_folder) set(expected
                                                                                                                                  "${ARGN}") list(FILTER expected INCLUDE REGEX
                                                                                                                                                  "^(${any_folder})/")
                                                                                            list(
                                                                                                FILTER expected
                                                                                                    EXCLUDE REGEX
                                                                                                "/detail/") if (NOT EXISTS
                                                                                                                "${"
                                                                                                                "INCLUD"
                                                                                                                "E_DIR}"
                                                                                                                "/kvtra"
                                                                                                                "nsfer/"
                                                                                                                "${"
                                                                                                                "umbrel"
                                                                                                                "la"
                                                                                                                "}") if (expected)
                                                                                                report(
                                                                                                    "${umbrella}"
                                                                                                    "does not exist") endif() return () endif()
                                                                                                    file(STRINGS
                                                                                                         "${INCLUDE_"
                                                                                                         "DIR}/"
                                                                                                         "kvtransfer/"
                                                                                                         "${"
                                                                                                         "umbrella"
                                                                                                         "}" included REGEX
                                                                                                         "^#include") list(TRANSFORM
                                                                                                                               included REPLACE
                                                                                                                           "^#include \"kvtransfer/(.*)\"$"
                                                                                                                           "\\1")
                                                                                                        foreach (header IN LISTS expected) if (
                                                                                                            NOT header IN_LIST
                                                                                                                included)
                                                                                                            report(
                                                                                                                "${"
                                                                                                                "umbrel"
                                                                                                                "la}"
                                                                                                                "lacks "
                                                                                                                "${"
                                                                                                                "header"
                                                                                                                "}") endif() endforeach()
                                                                                                                foreach (header IN LISTS included) if (NOT header IN_LIST expected) report(
                                                                                                                    "${"
                                                                                                                    "um"
                                                                                                                    "br"
                                                                                                                    "el"
                                                                                                                    "la"
                                                                                                                    "}"
                                                                                                                    "in"
                                                                                                                    "cl"
                                                                                                                    "ud"
                                                                                                                    "es"
                                                                                                                    " $"
                                                                                                                    "{h"
                                                                                                                    "ea"
                                                                                                                    "de"
                                                                                                                    "r}"
                                                                                                                    ", "
                                                                                                                    "wh"
                                                                                                                    "ic"
                                                                                                                    "h "
                                                                                                                    "is"
                                                                                                                    " n"
                                                                                                                    "ot"
                                                                                                                    " a"
                                                                                                                    " p"
                                                                                                                    "ub"
                                                                                                                    "li"
                                                                                                                    "c "
                                                                                                                    "he"
                                                                                                                    "ad"
                                                                                                                    "er"
                                                                                                                    " o"
                                                                                                                    "f "
                                                                                                                    "${"
                                                                                                                    "an"
                                                                                                                    "y_"
                                                                                                                    "fo"
                                                                                                                    "ld"
                                                                                                                    "er"
                                                                                                                    "}") endif() endforeach() endfunction()

                                                                                                                    file(
                                                                                                                        GLOB_RECURSE
                                                                                                                            headers RELATIVE
                                                                                                                        "${INCLUDE_DIR}/kvtransfer"
                                                                                                                        "${INCLUDE_DIR}/kvtransfer/*.hpp"
                                                                                                                        "${INCLUDE_DIR}/kvtransfer/*.ipp") if (NOT headers)
                                                                                                                        message(
                                                                                                                            FATAL_ERROR
                                                                                                                            "no headers below ${INCLUDE_DIR}/kvtransfer")
                                                                                                                            endif() list(
                                                                                                                                REMOVE_ITEM headers kvtransfer
                                                                                                                                    .hpp
                                                                                                                                        model
                                                                                                                                    .hpp
                                                                                                                                        experiment
                                                                                                                                    .hpp) #the
    umbrellas lie above all folders foreach (header IN LISTS headers) check_header("${header}") endforeach()
        check_umbrella(kvtransfer.hpp "core;tensor;rope;cache;inject;project" ${headers})
            check_umbrella(model.hpp model ${headers}) check_umbrella(experiment.hpp experiment ${headers})

                if (SOURCE_DIR) file(GLOB_RECURSE sources RELATIVE
                                     "${SOURCE_DIR}"
                                     "${SOURCE_DIR}/*.cpp"
                                     "${SOURCE_DIR}/*.hpp"
                                     "${SOURCE_DIR}/*.cu"
                                     "${SOURCE_DIR}/*.cuh") if (NOT sources)
                    message(FATAL_ERROR "no sources below ${SOURCE_DIR}") endif()
                        list(FILTER sources INCLUDE REGEX
                             "/") #fmt.cpp is a library's own foreach (source IN LISTS sources)
                            check_source("${source}") endforeach() endif()

                                get_property(complaints GLOBAL PROPERTY complaints) if (complaints)
                                    list(LENGTH complaints count)
                                        message(FATAL_ERROR "${count} complaints about the include tree") endif()
