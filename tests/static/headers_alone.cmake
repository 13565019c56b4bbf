#Every header compiles alone : a file that includes nothing else, for each of `headers`.Headers of torch, fmt and JSON, \
    and our
#cache, are most of such a file's time, so what a header includes of them, itself or through others, is precompiled for all headers
#that include the same, and nothing that a header does not include is.Definitions, in `.ipp` files, \
    are not read : they could bring
#what a declaration lacks.

set(heavy_headers ATen / core / Tensor.h fmt / format.h nlohmann / json.hpp kvtransfer / cache / cache.hpp)

#Which of `heavy_headers` the header at `path` includes, one way or another.
    function(find_heavy_includes path result) get_property(known GLOBAL PROPERTY
                                                           "heavy_includes_of_${path}" SET) if (NOT known) set(found)
        file(STRINGS "${path}" lines REGEX
                     "^#include ") foreach (line IN LISTS lines) if (line MATCHES "^#include \"(kvtransfer/.*\\.hpp)\"")
            set(included "${CMAKE_MATCH_1}") find_heavy_includes("${PROJECT_SOURCE_DIR}/include/${included}" deeper)
                list(APPEND found ${deeper}) if (included IN_LIST heavy_headers) list(APPEND found "${included}")
                    endif() elseif(line MATCHES "^#include <(.*)>" AND CMAKE_MATCH_1 IN_LIST heavy_headers) list(
                        APPEND found
                        "${CMAKE_MATCH_1}") endif() endforeach() list(SORT found) list(REMOVE_DUPLICATES found)
                        set_property(GLOBAL PROPERTY
                                     "heavy_includes_of_${path}"
                                     "${found}") endif() get_property(found GLOBAL PROPERTY
                                                                      "heavy_includes_of_${path}") set($ {
                          result
                        } "${found}" PARENT_SCOPE) endfunction()

#Adds an object library `< name> _ < number>` for each set of heavy headers, built by a test alone, which is long.
                            function(add_headers_alone name) add_custom_target(${
                                name}) add_test(NAME "static/${name} (long)" CONFIGURATIONS long COMMAND
                                                "${CMAKE_COMMAND}" --build "${CMAKE_BINARY_DIR}" --target ${name})
                                set_tests_properties("static/${name} (long)" PROPERTIES LABELS long TIMEOUT 3600)
                                    set(groups) foreach (header IN LISTS ARGN)
                                        cmake_path(RELATIVE_PATH header BASE_DIRECTORY
                                                   "${PROJECT_SOURCE_DIR}/include" OUTPUT_VARIABLE included)
                                            set(source "${CMAKE_CURRENT_BINARY_DIR}/alone/${included}.cpp")
                                                file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"${included}\"\n")
                                                    find_heavy_includes("${header}" heavy) string(MAKE_C_IDENTIFIER
                                                                                                  "of_${heavy}" group)
                                                        list(APPEND groups ${group}) list(APPEND ${
                                                            group} _sources "${source}") set(${group} _heavy ${heavy})
                                                            endforeach() list(REMOVE_DUPLICATES groups) set(number 0)
                                                                foreach (group IN LISTS groups) math(EXPR number
                                                                                                     "${number} + 1")
                                                                    set(target ${name} _${number}) add_library(${
                                                                        target} OBJECT EXCLUDE_FROM_ALL ${
                                                                        ${group} _sources}) target_link_libraries(${
                                                                        target} PRIVATE kvtransfer::compiled)
                                                                        target_compile_options(${target} PRIVATE -
                                                                                               O0) #parsing is the check
    add_dependencies(${name} ${target}) if (KVTRANSFER_PRECOMPILE AND ${group} _heavy) list(TRANSFORM ${
        group} _heavy REPLACE "(.+)"
                              "<\\1>" OUTPUT_VARIABLE precompiled)
        target_precompile_headers(${target} PRIVATE ${precompiled}) endif() endforeach() endfunction()

#How many of our headers the one at `path` includes, one way or another, itself among them : the larger, \
    the more it includes.
            function(find_our_includes path result) get_property(known GLOBAL PROPERTY
                                                                 "our_includes_of_${path}" SET) if (NOT known)
                set(found "${path}") file(STRINGS "${path}" lines REGEX "^#include \"kvtransfer/.*\\.hpp\"")
                    foreach (line IN LISTS lines) string(REGEX REPLACE
                                                         "^#include \"(.*)\".*"
                                                         "\\1" included "${line}")
                        find_our_includes("${PROJECT_SOURCE_DIR}/include/${included}" deeper)
                            list(APPEND found ${deeper}) endforeach() list(REMOVE_DUPLICATES found)
                                set_property(GLOBAL PROPERTY
                                             "our_includes_of_${path}"
                                             "${found}") endif() get_property(found GLOBAL PROPERTY
                                                                              "our_includes_of_${path}")
                                    set($ { result } "${found}" PARENT_SCOPE) endfunction()

#Adds an object library of a file for each folder that includes its headers, \
    those first that include least : what a header lacks is
#seen unless one before it brings it.A twentieth of the time that each header alone takes.
                                        function(add_headers_in_order name) set(folders) foreach (header IN LISTS ARGN)
                                            cmake_path(RELATIVE_PATH header BASE_DIRECTORY
                                                       "${PROJECT_SOURCE_DIR}/include" OUTPUT_VARIABLE
                                                           included) if (included MATCHES "^kvtransfer/([a-z]+)/")
                                                find_our_includes("${header}" all) list(LENGTH all count)
                                                    math(EXPR count "${count} + 1000") #as many digits each,
    so that texts are sorted as numbers list(APPEND folders ${CMAKE_MATCH_1})
        list(APPEND of_$ { CMAKE_MATCH_1 } "${count} ${included}") endif() endforeach() list(REMOVE_DUPLICATES folders)
            set(sources) foreach (folder IN LISTS folders) list(SORT of_${folder}) list(TRANSFORM of_${folder} REPLACE
                                                                                        "^[0-9]+ (.*)$"
                                                                                        "#include \"\\1\"\n")
                list(JOIN of_$ { folder } "" content) set(source "${CMAKE_CURRENT_BINARY_DIR}/in_order/${folder}.cpp")
                    file(CONFIGURE OUTPUT "${source}" CONTENT "${content}") list(APPEND sources "${source}")
                        endforeach() add_library(${name} OBJECT ${sources})
                            target_link_libraries(${name} PRIVATE kvtransfer::compiled) #declarations alone,
    which bring least of each other target_compile_options(${name} PRIVATE - O0) #parsing is the check endfunction()
